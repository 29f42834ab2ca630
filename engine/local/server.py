"""The local AWS as a child process: on a free port of 127.0.0.1, with IAM enforced, leaving nothing behind.

MiniStack pins its own version of botocore, so it has a virtual environment beside the project's and is started, never
imported. Everything it writes goes into one temporary directory that `stop` removes: MiniStack itself would leave the
unpacked code of every function behind.
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
"""Environment variable with the interpreter of the local AWS (default: `.venv-local/bin/python` of the checkout)."""

REGION = "us-east-1"
START_SECONDS = 30.0

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
"""The root user of the local AWS. These credentials are public, and valid only on a port of this machine."""

# Runs in the child before MiniStack does. Its standard input is a pipe from the parent to which nothing is written:
# end of file means that the parent has ended, for whatever reason, and the server must end too.
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

# Prints one line of JSON: the version of Python on which functions would run, and whether the server is installed.
_PROBE = """
import importlib.util, json, sys
print(json.dumps([list(sys.version_info[:2]), importlib.util.find_spec("ministack") is not None]))
"""


class LocalServerError(MillpondError):
    """The local AWS cannot be started; the message says why and what to do, in one line."""


class LocalServer:
    """A local AWS that runs from `start` to `stop`, or for the length of a `with` block."""

    def __init__(self, *, port: int | None = None, python: Path | None = None) -> None:
        """Prepare a server for `port` (None: a free one) on the interpreter `python` (None: see `PYTHON_VARIABLE`)."""
        self._wanted_port = port
        self._python = python or Path(os.environ.get(PYTHON_VARIABLE) or CHECKOUT / ".venv-local" / "bin" / "python")
        self._process: subprocess.Popen[bytes] | None = None
        self._home: Path | None = None
        self.port = 0

    @property
    def endpoint_url(self) -> str:
        """The URL of all services."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the server, below which functions run; 0 while it is not running."""
        return self._process.pid if self._process else 0

    @property
    def log(self) -> str:
        """The server's log so far; functions log to their own log groups."""
        return (self._home / "server.log").read_text(errors="replace") if self._home else ""

    def keep(self, name: str, text: str) -> Path:
        """Write a file that functions may read until the server stops; return its path."""
        assert self._home is not None  # noqa: S101 - start() has set it
        path = self._home / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self) -> None:
        """Start the server and wait until it answers; raises `LocalServerError`."""
        self._check_interpreter()
        self.port = self._wanted_port or _free_port()
        if self._wanted_port and _port_taken(self._wanted_port):
            raise LocalServerError(f"Port {self._wanted_port} is in use; choose another one with --port.")
        self._home = Path(tempfile.mkdtemp(prefix="millpond-"))
        try:
            with (self._home / "server.log").open("wb") as log:
                # A session of its own: Ctrl-C in the terminal reaches only this process, which shuts down in order.
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
        """Stop the server and its functions, and remove what they wrote. Stopping twice does nothing."""
        with _undisturbed():
            self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # SIGKILL: there is nothing to save, and after SIGTERM functions that are running would outlive the server.
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
            # Functions run on that interpreter with this one's packages, which contain compiled code.
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
    """Ignore signals while the block runs, so that a second Ctrl-C does not interrupt the cleanup."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: the handler was not set by Python, which cannot restore it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def local_credentials() -> Iterator[None]:
    """Use the credentials of the local AWS while the block runs; clients do not see a person's own."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    # Nor are the person's own configuration files read.
    os.environ.update(CREDENTIALS, AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _environment(outer: Mapping[str, str], *, port: int, home: Path) -> dict[str, str]:
    """Return the server's environment, which functions inherit: without the person's AWS and Python settings."""
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
    """Return whether a GET of `path` on this machine's `port` is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
