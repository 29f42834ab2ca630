"""The local AWS as a child process: on a free port of 127.0.0.1, with IAM enforced, leaving nothing behind.

MiniStack pins a botocore of its own, so it lives in a virtual environment beside the project's and is only ever
started, never imported. Everything it writes goes into one temporary directory that `stop` removes: on its own it
leaves the unpacked code of every function behind.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.deployment.checkout import CHECKOUT
from engine.errors import MillpondError

PYTHON_VARIABLE = "MILLPOND_LOCAL_PYTHON"
"""Names the interpreter of the local AWS, when it is not `.venv-local/bin/python` of the checkout."""

REGION = "us-east-1"
START_SECONDS = 30.0

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
"""The root user of the local AWS. Known to everyone, and good for nothing but a port of this machine."""

# Runs inside the child before MiniStack does. Its standard input is a pipe from the parent that nobody writes to: when
# it ends, the parent is gone, however it went, and a server without an owner must not stay behind.
_CHILD = """
import os, runpy, shutil, signal, sys, threading
def follow_parent():
    sys.stdin.buffer.read()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=follow_parent, daemon=True).start()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")
"""

# One line of JSON: which Python the functions would run on, and whether the server is installed there.
_PROBE = """
import importlib.util, json, sys
print(json.dumps([list(sys.version_info[:2]), importlib.util.find_spec("ministack") is not None]))
"""


class LocalServerError(MillpondError):
    """The local AWS cannot be started; the message says why and what to do, in one line."""


class LocalServer:
    """A local AWS that runs from `start` to `stop`, or for as long as a `with` block does."""

    def __init__(self, *, port: int | None = None, python: Path | None = None) -> None:
        """Prepare a server for `port` (None: a free one) on the interpreter `python` (None: see `PYTHON_VARIABLE`)."""
        self._wanted_port = port
        self._python = python or Path(os.environ.get(PYTHON_VARIABLE) or CHECKOUT / ".venv-local" / "bin" / "python")
        self._process: subprocess.Popen[bytes] | None = None
        self._home: Path | None = None
        self.port = 0

    @property
    def endpoint_url(self) -> str:
        """Where every service answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the server has logged so far; the functions' own output is in their log groups."""
        return (self._home / "server.log").read_text(errors="replace") if self._home else ""

    def start(self) -> None:
        """Start the server and wait until it answers; raises `LocalServerError`."""
        self._check_interpreter()
        self.port = self._wanted_port or _free_port()
        if self._wanted_port and _port_taken(self._wanted_port):
            raise LocalServerError(f"Port {self._wanted_port} is in use; choose another one with --port.")
        self._home = Path(tempfile.mkdtemp(prefix="millpond-"))
        try:
            with (self._home / "server.log").open("wb") as log:
                # A session of its own, so that Ctrl-C in the terminal reaches only us, and we end things in order.
                self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    [str(self._python), "-c", _CHILD],
                    env=_environment(os.environ, port=self.port, home=self._home),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and the functions it runs, and remove what they wrote. Stopping twice does nothing."""
        with _undisturbed():
            self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # It has nothing to save, and functions in the middle of their work would outlive a polite end.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin:
                process.stdin.close()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def _check_interpreter(self) -> None:
        fix = f"run `make setup`, or set {PYTHON_VARIABLE}"
        if not self._python.is_file():
            raise LocalServerError(f"The local AWS is not installed: no {self._python} ({fix}).")
        probe = subprocess.run(  # noqa: S603 - our own program, no shell
            [str(self._python), "-c", _PROBE], capture_output=True, text=True, check=False
        )
        try:
            version, installed = json.loads(probe.stdout)
        except ValueError:
            raise LocalServerError(f"{self._python} does not run ({fix}).") from None
        if not installed:
            raise LocalServerError(f"{self._python} has no ministack ({fix}).")
        if tuple(version) != sys.version_info[:2]:
            # Functions run on that interpreter with this one's packages, and those hold compiled code.
            ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise LocalServerError(f"{self._python} is Python {version[0]}.{version[1]} but this is {ours} ({fix}).")

    def _wait_until_healthy(self) -> None:
        assert self._process is not None  # noqa: S101 - start() has just set it
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                last = self.log.strip().splitlines()[-1:] or ["no output"]
                raise LocalServerError(f"The local AWS ended at once: {last[0]}")
            if answers(self.port, "/_ministack/health"):
                return
            time.sleep(0.05)
        raise LocalServerError(f"The local AWS did not answer within {START_SECONDS:.0f} seconds.")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C break off the tidying up that the first one began."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread alone
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: a handler that Python did not set, and cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def local_credentials() -> Iterator[None]:
    """Make this process the local root user: clients find these credentials, and never a person's own."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    # Neither do settings in the person's own files count here.
    os.environ.update(CREDENTIALS, AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _environment(outer: Mapping[str, str], *, port: int, home: Path) -> dict[str, str]:
    """The server's environment, which functions inherit: nothing of the person's AWS or Python settings in it."""
    kept = {name: outer[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in outer}
    return (
        kept
        | CREDENTIALS
        | {
            "HOME": str(home),
            "TMPDIR": str(home),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "AUTH": "true",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(port: int, path: str) -> bool:
    """Tell whether a GET of `path` on this machine's `port` is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
