"""Benchmarks against an endpoint, in a process as `make` starts it: slow servers, and servers that go away."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[2]
ROWS = 500


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Host and port of a server that stores what it is sent."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


class Front:
    """A server in front of another one: it counts the writes, and `before_write` may delay them or stop the server."""

    def __init__(self, behind: str, before_write: Callable[["Front"], None]) -> None:
        self.writes = 0
        front = self

        class Handler(BaseHTTPRequestHandler):
            """Speaks HTTP/1.0: each connection is closed after one answer."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["X-Amz-Target"] == "DynamoDB_20120810.BatchWriteItem":
                    front.writes += 1
                    before_write(front)
                if front.stopped.is_set():
                    return
                connection = http.client.HTTPConnection(behind, timeout=30)
                connection.request("POST", self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response(answer.status)
                for name in ("Content-Type", "x-amz-crc32"):
                    if value := answer.headers[name]:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self.stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that are killed
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def go_away(self) -> None:
        """Stop listening; every request from now on finds nobody."""
        if not self.stopped.is_set():
            self.stopped.set()
            self._server.shutdown()
            self._server.socket.close()

    def close(self) -> None:
        """Stop, and wait for the requests that are being answered."""
        self.go_away()
        self._thread.join()
        self._server.server_close()


@contextmanager
def in_front_of(behind: str, before_write: Callable[[Front], None] = lambda _: None) -> Iterator[Front]:
    front = Front(behind, before_write)
    try:
        yield front
    finally:
        front.close()


def bench(url: str, out: Path, *more: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """Run the worker's question in quick mode; returns the process and the entries of the written results."""
    options = ["--quick", "--rounds", "1", "--rows", str(ROWS), "--only", "work", "--out", str(out), *more]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--endpoint", url, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in done.stderr
    results = json.loads((out / "endpoint.json").read_text(encoding="utf-8"))
    assert results["ceilings"] == {}
    (question,) = results["questions"]
    assert question["name"] == "work"
    return done, question["entries"]


@pytest.mark.parametrize("target", ["bench", "bench-quick"])
def test_make_passes_the_endpoint_on(target: str) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", target, "ENDPOINT=http://127.0.0.1:9"],  # noqa: S607 - the make of this machine
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (command,) = [line for line in shown.splitlines() if "-m benchmarks" in line]
    assert "--endpoint http://127.0.0.1:9" in command


def test_server_that_closes_connections_is_measured(moto: str, tmp_path: Path) -> None:
    with in_front_of(moto) as front:
        done, entries = bench(front.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [entry["contender"] for entry in entries] == ["millpond", "boto3"]
    for entry in entries:
        assert entry["summary"]["per_second"]["median"] > 0
        assert 0 < entry["summary"]["cores"]["median"] < 2
    # Each contender writes the rows twice, in batches of 25.
    assert front.writes == 2 * 2 * ROWS / 25
    assert "Worker" in (tmp_path / "endpoint.md").read_text(encoding="utf-8")


def test_silent_server_is_reported_as_unfinished(moto: str, tmp_path: Path) -> None:
    def before_write(front: Front) -> None:
        front.stopped.wait(60)

    with in_front_of(moto, before_write) as front:
        done, entries = bench(front.url, tmp_path, "--limit", "2")
    assert done.returncode == 1
    for entry in entries:
        assert entry["rounds"] == []
        assert entry["unfinished"] == ["not done after 2 s, 0 of 500 rows in the table"]
    assert done.stderr.splitlines()[-1] == "some runs were void or unfinished, see above"
    assert "unfinished: not done after 2 s, 0 of 500 rows in the table" in done.stdout


def test_results_are_kept_when_the_server_goes_away(moto: str, tmp_path: Path) -> None:
    def before_write(front: Front) -> None:
        if front.writes > 50:  # the first contender needs 40
            front.go_away()

    with in_front_of(moto, before_write) as front:
        done, (first, second) = bench(front.url, tmp_path, "--limit", "15")
    assert done.returncode == 1
    assert first["summary"]["per_second"]["median"] > 0
    assert (second["rounds"], second["summary"]) == ([], {})
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{front.url} stopped answering: ")
    assert last.endswith("; the results above are what was measured until then")
    assert first["label"] in done.stdout


def test_missing_endpoint_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--endpoint", "http://127.0.0.1:9", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert [line[:50] for line in done.stderr.splitlines()] == ["http://127.0.0.1:9 does not answer like AWS: Could"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--only", "sign"], "an endpoint is asked these questions: work, produce"),
        (["--seconds", "3"], "--seconds and --row-bytes are not for an endpoint"),
        (["--rows", "750"], "'750' is not a multiple of 500"),
        (["--limit", "0"], "'0' is not a number above 0"),
    ],
)
def test_invalid_options_are_refused(options: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--endpoint", "http://127.0.0.1:9", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize("option", ["--rows", "--limit"])
def test_endpoint_options_require_an_endpoint(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", option, "500"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--rows and --limit are for an endpoint" in done.stderr
