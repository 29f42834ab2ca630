"""LocalStack without Docker: S3, SQS and DynamoDB, from PyPI, with the DynamoDB Local and the Java that are here.

LocalStack downloads both at first use, unless they are where it would put them. The other services are left out:
Lambda, for example, needs Docker or another download.

``python -m tests.emulators.localstack`` runs it until Ctrl-C. With a command after it, it runs until the command has
ended; the command finds the URL in AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.emulators import dynamodb_local
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

ENVIRONMENT = CHECKOUT / ".venv-localstack"
MODULE = ("-m", "localstack.runtime.main")
SERVICES = ("s3", "sqs", "dynamodb")
PORT = 4566
"""LocalStack's usual port."""

# LocalStack starts DynamoDB Local with a Java agent of its own that raises the number of indexes a table may have. The
# agent can only be downloaded, and no test needs it.
_JAVA = """#!/bin/sh
for option do
    shift
    case $option in -javaagent:*) ;; *) set -- "$@" "$option" ;; esac
done
exec {java} "$@"
"""


def check() -> None:
    """Raise `Unavailable` if LocalStack cannot be run here."""
    dynamodb_local.check()
    if not (ENVIRONMENT / ".requirements-installed").is_file():
        raise Unavailable("LocalStack is not installed: run `make localstack`, which needs PyPI")


@contextmanager
def localstack(port: int | None = None) -> Iterator[str]:
    """Run LocalStack on `port` (None: a free one) of 127.0.0.1; gives its URL. Raises `Unavailable`, `NotStarted`."""
    check()
    port = port or free_port()
    with home() as root:
        _lay_out(root)
        env = {
            "FILESYSTEM_ROOT": str(root),
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "SERVICES": ",".join(SERVICES),
            "STRICT_SERVICE_LOADING": "1",
            "EAGER_SERVICE_LOADING": "1",
            "DYNAMODB_IN_MEMORY": "1",
            # It is not in a container, asks nobody for a certificate, reports nothing, and answers no DNS.
            "OVERRIDE_IN_DOCKER": "0",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "DNS_ADDRESS": "0",
        }
        with server([str(ENVIRONMENT / "bin" / "python"), *MODULE], root, env, lambda: _is_ready(port)):
            yield f"http://127.0.0.1:{port}"


def _lay_out(root: Path) -> None:
    """Put DynamoDB Local and Java where LocalStack (4.9.2) looks for what it has downloaded: `localstack.packages`."""
    libraries = root / "var" / "lib" / "localstack" / "lib"
    program = libraries / "java" / "21" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(_JAVA.format(java=shlex.quote(str(java()))), encoding="utf-8")
    program.chmod(0o755)
    (libraries / "dynamodb-local").mkdir()
    (libraries / "dynamodb-local" / "2").symlink_to(dynamodb_local.jar().parent)


def _is_ready(port: int) -> bool:
    status, body = answer(port, "/_localstack/health")
    if status != 200:
        return False
    states = json.loads(body)["services"]
    return all(states[service] == "running" for service in SERVICES)


def main() -> int:
    """Run LocalStack for a person or for a command; returns the exit code, EX_UNAVAILABLE where it cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.localstack", description="S3, SQS and DynamoDB")
    parser.add_argument("--port", type=int, help=f"on 127.0.0.1 ({PORT}; with a command: a free one)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run until this has ended, not until Ctrl-C")
    chosen = parser.parse_args()
    port = chosen.port or (None if chosen.command else PORT)
    if port and is_port_taken(port):
        sys.exit(f"LocalStack: port {port} is in use; choose another one with --port")
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell may have told background jobs to ignore the second
        signal.signal(number, lambda *_: sys.exit(130))
    try:
        with localstack(port) as url:
            if chosen.command:
                env = {**os.environ, "AWS_ENDPOINT_URL": url}
                return subprocess.run(chosen.command, env=env, check=False).returncode
            print(f"LocalStack answers at {url} ({', '.join(SERVICES)}). Ctrl-C ends it.", flush=True)
            while True:
                signal.pause()
    except Unavailable as error:
        print(f"LocalStack cannot be run here: {error}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    except NotStarted as error:
        sys.exit(f"LocalStack: {error}")


if __name__ == "__main__":
    sys.exit(main())
