"""The contenders: Millpond and what else does the same job, each as well set as it can reasonably be."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from benchmarks.model import Contender

HERE = Path(__file__).parent


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"benchmarks.contenders.{name}"


def _lacks_package(package: str, where: str) -> str | None:
    return None if importlib.util.find_spec(package) else f"{package} is not installed ({where})"


def _lacks_node() -> str | None:
    if shutil.which("node") is None:
        return "node is not installed"
    return None if (HERE / "node" / "node_modules").is_dir() else "benchmarks/rivals/node has no node_modules (npm ci)"


def _lacks_go() -> str | None:
    if (HERE / "go" / "importer").is_file():
        return None
    if shutil.which("go") is None:
        return "go is not installed"
    return "benchmarks/rivals/go is not built (golang-github-aws-aws-sdk-go-v2-dev is needed)"


MILLPOND = Contender("millpond", "Millpond", _module("millpond"), "as in production, one process")
BATCH_WRITER = Contender(
    "boto3",
    "boto3 batch_writer",
    _module("usual"),
    "parameter validation off, one resource kept",
)
THREADS = Contender(
    "boto3-threads",
    "boto3, 32 threads",
    _module("usual"),
    "client instead of resource, items in DynamoDB's form, pool of 32 connections, parameter validation off",
)
AIOBOTO3 = Contender(
    "aioboto3",
    "aioboto3 batch_writer",
    _module("aio"),
    "uvloop, one writer a message at once, 50 connections, parameter validation off",
)
POWERTOOLS = Contender(
    "powertools",
    "Powertools BatchProcessor",
    _module("usual"),
    "boto3 batch_writer within the record handler, parameter validation off",
    lambda: _lacks_package("aws_lambda_powertools", "the extra `bench`"),
)
NODE = Contender(
    "node",
    "Node.js, AWS SDK v3",
    ("node", str(HERE / "node" / "bench.js")),
    "keep-alive, 128 sockets, client instead of document client, MD5 checks off; packed messages: 32 writes at once",
    _lacks_node,
)
GO = Contender(
    "go",
    "Go, AWS SDK v2",
    (str(HERE / "go" / "importer"),),
    "32 goroutines, GOMAXPROCS=1, GOGC=400, attribute values made directly",
    _lacks_go,
)
GO_ENV = {"GOMAXPROCS": "1", "GOGC": "400"}
SLOW_TABLE = Contender("slow-table", "Millpond", _module("slow_table"), "nothing is sent; virtual time")
PARTS = Contender("parts", "part", _module("parts"), "nothing is sent")
