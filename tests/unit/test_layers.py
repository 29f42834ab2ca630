"""The layers of the engine: what each module may import, read from its source without running any of it.

Pure modules get time and randomness as arguments. Service modules talk to one AWS service each and never import each
other. What the functions run never imports the tools around them. No imports form a cycle, lazy ones included. Each
rule is also shown to catch a module that breaks it.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine"

# From the bottom up: each module or package, and what it may import besides itself. A package stands for its modules;
# a module that is named by itself is not covered by its package.
PURE: dict[str, set[str]] = {
    "errors": set(),
    "text": set(),
    "exact_json": set(),
    "decimal_text": set(),
    "identity": {"errors"},
    "events": {"errors", "identity", "scans", "spans", "text"},
    "spans": {"errors", "identity", "reading", "text"},
    "item_size": set(),
    "scans": {"errors", "identity", "reading"},
    "reading.format": set(),
    "reading": {"decimal_text", "errors", "exact_json", "reading.format"},
    "schema": {"decimal_text", "errors", "exact_json", "reading.format", "text"},
    "messages": {"errors", "exact_json", "identity", "reading.format", "schema"},
    "rejects": {"errors", "identity", "reading"},
    "repeats": set(),
    "tallies": set(),
    "reject_limit": set(),
    "accounts": {"identity", "reject_limit", "tallies", "undone"},
    "convert": {"identity", "messages", "reading", "repeats", "schema", "spans"},
    "frequent": set(),
    "estimate": {
        "convert",
        "frequent",
        "identity",
        "item_size",
        "items",
        "messages",
        "reading",
        "reject_limit",
        "rejects",
        "schema",
        "tallies",
    },
    "prices": {"estimate"},
    "items": {"decimal_text", "identity", "item_size", "messages", "reading.format", "schema"},
    "item_keys": {"items", "schema"},
    "table_key": {"schema"},
    "metrics": set(),
    "throttling": set(),
    "outcome": set(),
    "undone": set(),
    "http_events": {"errors", "text"},
    "queries": {"accounts", "decimal_text", "errors", "http_events", "identity", "schema"},
    "pages": {"errors", "queries", "schema"},
    "reject_pages": {"pages", "queries", "reading", "rejects"},
    "flow.backoff": set(),
    "flow.window": set(),
    "flow.pace": set(),
    "flow.rate": set(),
    "aws.sign": set(),
}
_FLOW = {"errors", "flow.backoff", "flow.window", "flow.pace", "flow.rate"}
_SERVICE = {*PURE, "aws.types", "flow"}
SERVICES: dict[str, set[str]] = {
    "aws.announcer": _SERVICE,
    "aws.ledger_reader": _SERVICE,
    "aws.ledger_list": _SERVICE | {"aws.ledger_reader"},
    "aws.ledger": _SERVICE | {"aws.ledger_reader"},
    "aws.objects": _SERVICE | {"aws.s3"},
    "aws.queues": _SERVICE,
    "aws.table_reader": _SERVICE,
    "aws.newest_writer": _SERVICE | {"aws.conditional_calls", "aws.table_calls"},
    "aws.table_writer": _SERVICE | {"aws.table_calls"},
    "aws.table_deleter": _SERVICE | {"aws.conditional_calls", "aws.table_calls"},
    "aws.write_rate": _SERVICE,
    "aws.reject_store": _SERVICE | {"aws.s3"},
}
RUNTIME: dict[str, set[str]] = {
    "config": {"errors", "reject_limit", "schema"},
    "logs": {"metrics"},
    "flow": _FLOW,
    "aws.types": {"flow.backoff"},
    "aws.http1": set(),
    "aws.exchange": {"aws.types", "aws.http1"},
    "aws.session": {"errors", "aws.sign", "aws.types"},
    "aws.s3": {"errors", "flow", "aws.types", "aws.session"},
    "aws.table_calls": _SERVICE,
    "aws.conditional_calls": _SERVICE | {"aws.table_calls"},
    "aws.aiohttp_transport": {"aws.types", "aws.http1"},
    "aws.transports": {"aws.types", "aws.session", "aws.http1", "aws.exchange", "aws.aiohttp_transport"},
    "aws.lane": {"errors", "throttling", "flow", "aws.types", "aws.session", "aws.sign", "aws.http1"},
    "aws": set(),
    **SERVICES,
    "jobs": {*PURE, *SERVICES, "config", "logs", "flow"},
    "handlers": {*PURE, *SERVICES, "config", "logs", "flow", "jobs", "aws"},
}
TOOLS: dict[str, set[str]] = {
    "deployment": {*PURE, *RUNTIME},
    "local": {*PURE, *RUNTIME, "deployment"},
    "cli": {*PURE, *RUNTIME, "deployment", "local"},
}
LAYERS = PURE | RUNTIME | TOOLS

# Packages that only the modules named here import: they are slow to import, or have a wrapper of their own.
RESERVED = {
    "aioboto3": {"deployment.clients"},
    "aiobotocore": {"deployment.clients"},
    "aiohttp": {"aws.aiohttp_transport"},
    "httptools": {"aws.http1"},
    "re2": {"schema.patterns"},
}
IMPURE = set(RESERVED) - {"re2"} | {
    "asyncio",
    "boto3",
    "botocore",
    "concurrent",
    "http",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}
CLOCKS = {"now", "today", "utcnow"}
ENVIRONMENT = {"environ", "environb", "getenv"}
# The one place that hands the environment to `config`.
READS_ENVIRONMENT = "handlers.runtime"
MOST_LINES = 400


def layer_of(module: str, layers: Mapping[str, object] = LAYERS) -> str | None:
    """The most specific layer that a module, named without ``engine.``, belongs to."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((name for name in names if name in layers), None)


def imported(tree: ast.AST, package: str, known: set[str]) -> Iterator[str]:
    """The absolute dotted name of every module that is imported, wherever in the module the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself, each further dot one package up.
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from engine.aws import lane` imports a module, `from engine.aws.lane import Lane` a name in one.
                yield f"{origin}.{alias.name}" if f"{origin}.{alias.name}" in known else origin


def attributes(tree: ast.AST, names: set[str]) -> set[str]:
    """Which of the names are looked up on something, or imported from somewhere."""
    looked_up = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    taken = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return names & (looked_up | taken)


MODULES = {
    ".".join(path.relative_to(ENGINE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ENGINE.rglob("*.py"))
}


def broken_rules(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Return the rules of its layer that a module of that dotted name breaks."""
    tree = ast.parse(source)
    names = set(imported(tree, module if is_package else module.rpartition(".")[0], set(MODULES)))
    own = [name for name in names if name == "engine" or name.startswith("engine.")]
    outside = {name.split(".")[0] for name in names} - {"engine"}
    if module == "engine":
        return sorted(f"the package itself imports {name}" for name in own)
    name = module.removeprefix("engine.")
    layer = layer_of(name)
    if layer is None:
        return [f"{name} has no layer: say in this test what it may import"]
    inner = {target.removeprefix("engine").removeprefix(".") for target in own}
    if "" in inner and layer in TOOLS and attributes(tree, {"__version__"}):
        inner.remove("")  # `from engine import __version__`
    allowed = dict.fromkeys({layer, *LAYERS[layer]})
    faults = {f"imports {target or 'the whole engine'}" for target in inner if layer_of(target, allowed) is None}
    if layer in PURE:
        faults |= {f"pure, but imports {package}" for package in outside & IMPURE}
        faults |= {f"pure, but reads the clock: {clock}" for clock in attributes(tree, CLOCKS)}
    for package in outside & set(RESERVED):
        if name not in RESERVED[package]:
            faults.add(f"only {' and '.join(sorted(RESERVED[package]))} imports {package}")
    if layer not in TOOLS and name != READS_ENVIRONMENT:
        faults |= {f"the environment is read past config: {call}" for call in attributes(tree, ENVIRONMENT)}
    return sorted(faults)


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The import cycles of a graph of modules, each as the path that comes back to its beginning."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
            return
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            visit(target, [*path, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def import_graph() -> dict[str, set[str]]:
    """Every module of the engine, and the modules of the engine that it imports."""
    graph = {}
    for module, path in MODULES.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        names = set(imported(ast.parse(path.read_text("utf-8")), package, set(MODULES)))
        graph[module] = {name for name in names if name in MODULES and name != "engine"}
    return graph


@pytest.mark.parametrize("module", MODULES)
def test_module_keeps_the_rules_of_its_layer(module: str) -> None:
    path = MODULES[module]
    assert broken_rules(module, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize("module", MODULES)
def test_module_is_not_too_long(module: str) -> None:
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= MOST_LINES


def test_no_import_cycle() -> None:
    assert cycles(import_graph()) == []


def test_import_cycle_is_caught() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c", "a"]]


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("engine.flow.backoff", "import random", "pure, but imports random"),
        ("engine.flow.pace", "import time as clock", "pure, but imports time"),
        ("engine.items", "from os.path import join", "pure, but imports os"),
        ("engine.items", "def f():\n    import asyncio", "pure, but imports asyncio"),
        ("engine.items", "if TYPE_CHECKING:\n    from botocore.client import X", "pure, but imports botocore"),
        ("engine.reading.delimited", "from ..aws.table_writer import TableWriter", "imports aws.table_writer"),
        ("engine.reading.delimited", "from engine import errors, config", "imports config"),
        ("engine.reading.delimited", "import engine", "imports the whole engine"),
        ("engine.schema.columns", "from engine.reading.block import Block", "imports reading.block"),
        ("engine.messages.packed", "at = datetime.datetime.now(UTC)", "pure, but reads the clock: now"),
        ("engine.messages.packed", "at = date.today()", "pure, but reads the clock: today"),
        ("engine.aws.queues", "from engine.aws import table_writer", "imports aws.table_writer"),
        ("engine.aws.queues", "from engine.aws.lane import Lane", "imports aws.lane"),
        ("engine.aws.lane", "import engine.aws.table_writer", "imports aws.table_writer"),
        ("engine.aws.table_writer", "from engine.config import Settings", "imports config"),
        ("engine.aws.objects", "from engine.handlers.worker import handler", "imports handlers.worker"),
        ("engine.jobs.write", "from engine.handlers.runtime import Process", "imports handlers.runtime"),
        ("engine.jobs.write", "from engine.aws.session import Session", "imports aws.session"),
        ("engine.config", "from engine.cli import main", "imports cli"),
        ("engine.handlers.worker", "from ..local import server", "imports local.server"),
        ("engine.aws.objects", "import aiohttp", "only aws.aiohttp_transport imports aiohttp"),
        ("engine.aws.reject_store", "def f():\n    import aioboto3", "only deployment.clients imports aioboto3"),
        ("engine.aws.reject_store", "from engine.deployment.clients import client", "imports deployment.clients"),
        ("engine.aws.table_writer", "from engine.aws.http1 import Pool", "imports aws.http1"),
        ("engine.aws.lane", "import httptools", "only aws.http1 imports httptools"),
        ("engine.handlers.worker", "from aioboto3 import Session", "only deployment.clients imports aioboto3"),
        ("engine.cli.demo", "import aiobotocore.session", "only deployment.clients imports aiobotocore"),
        (
            "engine.aws.table_writer",
            "import os\nname = os.environ['X']",
            "the environment is read past config: environ",
        ),
        ("engine.config", "from os import getenv", "the environment is read past config: getenv"),
        ("engine.helpers", "", "helpers has no layer: say in this test what it may import"),
        ("engine", "from .aws.lane import Lane", "the package itself imports engine.aws.lane"),
    ],
)
def test_module_that_breaks_a_rule_is_caught(module: str, source: str, fault: str) -> None:
    assert fault in broken_rules(module, source, is_package=module == "engine")


@pytest.mark.parametrize(
    ("module", "source", "is_package"),
    [
        (
            "engine.items",
            "from . import errors\nfrom .schema.model import Schema\nfrom datetime import datetime",
            False,
        ),
        ("engine.aws.table_writer", "import asyncio\nfrom .types import Caller\nfrom ..flow.gate import Gate", False),
        ("engine.deployment.clients", "import aioboto3\nfrom ..errors import Fault", False),
        ("engine.handlers.runtime", "import os\nfrom ..config import from_env\nfrom_env(os.environ)", False),
        ("engine.local.server", "import os\nos.environ['PATH']\nfrom ..deployment import stacks", False),
        ("engine", "from importlib.metadata import version", True),
    ],
)
def test_module_that_keeps_the_rules_passes(module: str, source: str, is_package: bool) -> None:
    assert [each for each in broken_rules(module, source, is_package=is_package) if "errors" not in each] == []
