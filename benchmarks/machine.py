"""On what it was measured."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.model import Options
from benchmarks.processes import ROOT, cores

_PACKAGES = ("uvloop", "orjson", "aiobotocore", "aioboto3", "boto3", "aws-lambda-powertools")


def describe(options: Options) -> dict[str, Any]:
    """Return processor, cores, memory, system, versions, and where the processes were put."""
    of_stand_in, of_contender = cores()
    apart = (
        "The stand-in has one core, the contender another." if of_stand_in != of_contender else "Both share one core."
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "versions": _versions(),
        "placement": apart,
        "rounds": options.rounds,
        "row_bytes": options.row_bytes,
        "seconds": options.seconds,
        "load_average": os.getloadavg()[0],
        "revision": _revision(),
    }


def pulse() -> float:
    """Return the milliseconds that a fixed loop takes on this processor now, at the best of five."""

    def once() -> float:
        began = time.perf_counter()
        sum(number * number for number in range(200_000))
        return (time.perf_counter() - began) * 1000

    return min(once() for _ in range(5))


def _revision() -> str:
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*: (.+)", text)
    return f"{found[1].strip()} ({platform.machine()})" if found else platform.machine()


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    for name, command in (("Node.js", ["node", "--version"]), ("Go", ["go", "version"])):
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
            if found := re.search(r"[0-9]+\.[0-9.]+", said):
                versions[name] = found[0]
    return versions
