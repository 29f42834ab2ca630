"""The functions' processes on this machine: found below the local AWS, killed, stopped and continued."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path


def functions_below(pid: int) -> list[tuple[int, str]]:
    """Return id and function name of each process below `pid` that runs a function."""
    return [(child, name) for child in _below(pid) if (name := _function_of(child))]


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a process; return whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue  # it has ended meanwhile
        for child in children:
            yield child
            yield from _below(child)


def _function_of(pid: int) -> str:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    names = [each.partition(b"=")[2] for each in variables if each.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")]
    return names[0].decode() if names else ""
