"""DynamoDB Local, AWS's own emulator on SQLite: fetched from npm, where one of AWS's packages holds it; run by Java.

``python -m tests.emulators.dynamodb_local`` fetches it into the checkout, once.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.emulators.process import CHECKOUT, Unavailable, answer, free_port, home, java, server

FOLDER = CHECKOUT / ".dynamodb-local"
JAR = FOLDER / "DynamoDBLocal.jar"
LIBRARIES = FOLDER / "DynamoDBLocal_lib"

PACKAGE = "amplify-dynamodb-simulator@2.9.30"
SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
"""Of the package, in npm's own form (`npm view PACKAGE dist.integrity`)."""

_INSIDE = "package/emulator/"


def fetch(folder: Path = FOLDER) -> None:
    """Download the package (57 MB) and unpack the emulator in it to `folder`, a new one. Raises `Unavailable`."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"there is no npm to fetch {PACKAGE} with")
    # Beside its place, so that moving it there is one step.
    with tempfile.TemporaryDirectory(prefix=".dynamodb-local-", dir=folder.parent) as name:
        done = subprocess.run(
            [npm, "pack", "--silent", PACKAGE], cwd=name, capture_output=True, text=True, timeout=600, check=False
        )
        packed = next(Path(name).glob("*.tgz"), None)
        if done.returncode or packed is None:
            said = [line for line in (done.stdout + done.stderr).splitlines() if line] or ["nothing"]
            raise Unavailable(f"npm could not fetch {PACKAGE}: {said[0][:200]}")
        if base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() != SHA512:
            raise Unavailable(f"{PACKAGE} is not what it was when it was pinned: its SHA-512 differs")
        with tarfile.open(packed) as archive:
            members = [each for each in archive.getmembers() if each.name.startswith(_INSIDE)]
            archive.extractall(name, members, filter="data")
        (Path(name) / _INSIDE).rename(folder)


def jar() -> Path:
    """Return the jar that was fetched. Raises `Unavailable`."""
    if not JAR.is_file():
        raise Unavailable("there is no DynamoDB Local: run `make dynamodb-local`, which needs npm and its registry")
    return JAR


def check() -> None:
    """Raise `Unavailable` if DynamoDB Local cannot be run here."""
    java()
    jar()


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """Run DynamoDB Local in memory on a free port; gives its URL. Raises `Unavailable` and `NotStarted`."""
    command = [str(java()), f"-Djava.library.path={LIBRARIES}", "-jar", str(jar())]
    port = free_port()
    with (
        home() as folder,
        server(
            [*command, "-inMemory", "-disableTelemetry", "-port", str(port)],
            folder,
            {},
            # It answers a request that is none of DynamoDB's with 400.
            lambda: answer(port, "/")[0] == 400,
        ),
    ):
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    try:
        if not JAR.is_file():
            fetch()
    except Unavailable as error:
        sys.exit(f"DynamoDB Local: {error}")
