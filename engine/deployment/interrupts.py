"""Ctrl-C during blocking calls."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard_at_once() -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt` within the block.

    Under asyncio it would only cancel the task, which notices that after the blocking call has returned.
    """
    if threading.current_thread() is not threading.main_thread():  # signals only reach that one
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
