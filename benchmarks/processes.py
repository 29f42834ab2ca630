"""Processes on their own cores: the stand-in on one, the contender on another; with what each of them has used."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks import data
from benchmarks.model import Contender, Json, Run
from tests.fakeaws.signatures import ACCESS_KEY, REGION, SECRET_KEY

ROOT = Path(__file__).parent.parent
TIMEOUT = 900.0
"""Seconds that one run may take at most, unless another limit is given."""


class RunFailed(Exception):
    """A contender that did not come to its end; says why."""


class TimeLimit(RunFailed):
    """A contender that was killed because it was not done in time."""


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of stand-in and contender: different ones if there are two."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


@dataclass(slots=True)
class StandInProcess:
    """A stand-in that runs. `authority`: certificate to trust, empty without TLS."""

    url: str
    authority: str

    def control(self, path: str, document: Json | None = None) -> Json:
        """Send a request to the stand-in itself: ``/_config`` (which also resets), ``/_reset`` or ``/_stats``."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.url + path, data=body)  # noqa: S310 - our own URL
        context = ssl.create_default_context(cafile=self.authority) if self.authority else None
        with urllib.request.urlopen(request, timeout=30, context=context) as reply:  # noqa: S310
            answer: Json = json.load(reply)
        return answer


class Target(Protocol):
    """What a run needs of the other side."""

    def control(self, path: str, document: Json | None = None) -> Json:
        """Answer ``/_stats`` with counts."""


@contextlib.contextmanager
def stand_in(*, tls: bool = False) -> Iterator[StandInProcess]:
    """Run a stand-in on its core."""
    command = [sys.executable, "-m", "benchmarks.stand_in", *(["--tls"] if tls else [])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, cores()[0])
        assert process.stdout is not None  # noqa: S101 - for mypy
        about = json.loads(process.stdout.readline() or "{}")
        if "url" not in about:
            raise RunFailed("the stand-in did not start")
        yield StandInProcess(about["url"], about["authority"])
    finally:
        process.terminate()
        process.wait(10)


def environment(endpoint: str, authority: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a contender: those of a Lambda function, and none of the person's own for AWS."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    trusted = {"AWS_CA_BUNDLE": authority, "NODE_EXTRA_CA_CERTS": authority} if authority else {}
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "QUEUE_URL": f"{endpoint}/{data.ACCOUNT}/{data.QUEUE}",
        "TABLE_NAME": data.TABLE,
        "POWERTOOLS_TRACE_DISABLED": "true",
        **trusted,
        **extra,
    }


def run(
    contender: Contender,
    specs: Sequence[Json],
    envs: Sequence[Mapping[str, str]],
    at: Target,
    limit: float = TIMEOUT,
) -> Run:
    """Run one process for each specification, all on the contender's core; return what came of it.

    Raises `RunFailed`; after `limit` seconds it kills the processes and raises `TimeLimit`.
    """
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as name:
        folder = Path(name)
        began = time.monotonic()
        started = []
        for index, (spec, env) in enumerate(zip(specs, envs, strict=True)):
            path = folder / f"spec-{index}.json"
            path.write_text(json.dumps(spec), encoding="utf-8")
            started.append(_start([*contender.command, str(path)], env, folder / f"{index}"))
        user = system = peak = 0.0
        results = []
        try:
            for process, output in started:
                code, usage = _wait(process, began + limit, limit)
                if code != 0:
                    words = (output.with_suffix(".err").read_text(encoding="utf-8", errors="replace")).strip()
                    raise RunFailed(f"{contender.label} ended with {code}: {words[-500:]}")
                lines = output.with_suffix(".out").read_text(encoding="utf-8").strip().splitlines()
                results.append(json.loads(lines[-1]))
                user, system = user + usage.ru_utime, system + usage.ru_stime
                peak = max(peak, results[-1].get("peak_kb") or usage.ru_maxrss)
        finally:
            for process, _ in started:
                if process.returncode is None:  # one of the others has failed, or somebody wants to stop
                    process.kill()
                    process.wait()
        ended = time.monotonic()
    return Run(results, at.control("/_stats"), began, user, system, peak / 1024, ended)


def _start(command: list[str], env: Mapping[str, str], output: Path) -> tuple[subprocess.Popen[bytes], Path]:
    _, cores_ = cores()
    with open(output.with_suffix(".out"), "wb") as out, open(output.with_suffix(".err"), "wb") as err:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            # Before anything of the program runs: threads that it starts then stay there too.
            preexec_fn=lambda: os.sched_setaffinity(0, cores_),
        )
    return process, output


def _wait(process: subprocess.Popen[bytes], until: float, limit: float) -> tuple[int, Any]:
    """Wait for one process and return its exit code and what it has used."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.monotonic() > until:
            process.kill()
            os.wait4(process.pid, 0)
            process.returncode = -9
            raise TimeLimit(f"not done after {limit:g} s")
        time.sleep(0.02)
