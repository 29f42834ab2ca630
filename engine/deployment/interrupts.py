"""Ctrl-C while something blocks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard_at_once() -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt` within the block.

    Under asyncio it would only cancel the task, which does not look before what blocks has come to its end.
    """
    if threading.current_thread() is not threading.main_thread():  # signals reach only that one
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
