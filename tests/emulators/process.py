"""A server of somebody else's as a child process: on a port of 127.0.0.1, with a folder of its own, gone at the end."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

START_SECONDS = 90.0
"""LocalStack needs 6 s on an idle machine with two cores, 14 s on a busy one; DynamoDB Local 3 s and 11 s."""

STOP_SECONDS = 20.0
"""LocalStack needs 3 s to stop its services."""

# Starts the server and waits for the end of standard input, a pipe that nobody writes to: it ends when we close it, and
# also when we are killed. The server is then asked to stop, and nothing is left behind.
_GUARD = """
import os, shutil, subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
released = threading.Event()
def follow_parent():
    os.read(0, 1)
    released.set()
    server.terminate()
threading.Thread(target=follow_parent, daemon=True).start()
code = server.wait()
if released.is_set():
    shutil.rmtree(os.getcwd(), ignore_errors=True)
sys.exit(code)
"""


class Unavailable(Exception):
    """Something that an emulator needs is not here; the message says what, and what to do, in one line."""


class NotStarted(Exception):
    """A server that did not come up; the message has the last line of its log."""


@contextmanager
def home() -> Iterator[Path]:
    """Make a folder for all that a server writes; it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="millpond-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server(
    command: Sequence[str], folder: Path, env: Mapping[str, str], is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run `command` in `folder`, from when `is_ready` until the end of the block. Raises `NotStarted`.

    `env` is all that it gets of the environment besides PATH and HOME.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in a terminal reaches only us, and we end things in order.
        process = subprocess.Popen(
            [sys.executable, "-c", _GUARD, *command],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **env},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
                raise NotStarted(f"{Path(command[0]).name} did not start a server; it said last: {said[-1][:300]}")
            time.sleep(0.1)
        yield
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_port_taken(port: int) -> bool:
    """Return whether something listens on that port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answer(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of the answer to a GET; status 0 when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def java() -> Path:
    """Return the Java runtime: that of JAVA_HOME, or the one on the path. Raises `Unavailable`."""
    found = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(found) / "bin") if found else None)
    if program is None:
        raise Unavailable("there is no Java: install a runtime of version 17 or later (Debian: default-jre-headless)")
    return Path(program)
