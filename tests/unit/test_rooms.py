"""The rooms of the engine stay apart: the imports of every module, read without running any of it.

Pure rooms get time and randomness as arguments; I/O rooms talk to one service each and never to each other, but for
`aws`, the lane that they share; wiring joins them. Each rule is also shown to catch a module that breaks it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine"

PURE = {
    "columns",
    "convert",
    "errors",
    "events",
    "items",
    "messages",
    "queries",
    "records",
    "rejects",
    "retry",
    "schema",
    "sign",
}
LANE = "aws"
TRANSPORT = "http1"  # what the lane sends by
DOWNLOAD = "download"  # what it reads long replies by
GENERAL = "proxied"  # the other thing that it may send by
SESSION = "session"  # whose account it is
GATE = "gate"  # what holds calls back
CLIENTS = "clients"  # of aioboto3
# What each of them may reach besides pure rooms.
SHARED = {
    LANE: {TRANSPORT, DOWNLOAD, GENERAL, SESSION},
    TRANSPORT: set[str](),
    DOWNLOAD: {TRANSPORT},
    GENERAL: {LANE, TRANSPORT},
    SESSION: set[str](),
    GATE: {LANE},
    CLIENTS: {SESSION},
}
SERVICES = {"ledger", "objects", "queues", "store", "table"}
TOOLS = {"cli", "deployment", "local"}
WIRING = {"config", "handlers"} | TOOLS
ROOMS = PURE | SERVICES | set(SHARED) | WIRING

# Packages with a room of their own, which alone imports them: they take long to.
KEPT = {
    "aioboto3": {CLIENTS},
    "aiobotocore": {CLIENTS},
    "aiohttp": {CLIENTS, GENERAL},
    "httptools": {TRANSPORT, DOWNLOAD},
}
IMPURE = set(KEPT) | {
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
# The one place that hands the environment to `config.from_env`.
READS_ENVIRONMENT = "engine.handlers.process"
MOST_LINES = 400


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The absolute dotted name of everything that is imported, wherever in the module it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself, each further dot one package up.
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def reaches(tree: ast.AST, package: str) -> tuple[set[str], set[str]]:
    """The rooms of the engine, and the top-level packages outside it, that a module imports."""
    names = [name.split(".") for name in imported(tree, package)]
    # `import engine` hands over every room, so it counts as all of them; `from engine import __version__` as none.
    rooms = {room for name in names if name[0] == "engine" for room in (name[1:2] or ROOMS) if room in ROOMS}
    return rooms, {name[0] for name in names} - {"engine"}


def attributes(tree: ast.AST, names: set[str]) -> set[str]:
    """Which of the names are looked up on something, or imported from somewhere."""
    looked_up = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    taken = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return names & (looked_up | taken)


def broken_rules(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What a module of that dotted name does that its room must not."""
    tree = ast.parse(source)
    room = module.split(".")[1] if "." in module else ""
    rooms, outside = reaches(tree, module if is_package else module.rpartition(".")[0])
    rooms.discard(room)
    faults: set[str] = set()
    if not room:
        faults |= {f"the package itself imports {name}" for name in rooms}
    elif room not in ROOMS:
        faults.add(f"{room} is no known room: say in this test what it may reach")
    elif room in PURE:
        faults |= {f"pure, but imports {name}" for name in (rooms - PURE) | (outside & IMPURE)}
        faults |= {f"pure, but reads the clock: {name}" for name in attributes(tree, CLOCKS)}
    elif room in SERVICES | set(SHARED):
        allowed = SHARED.get(room, {LANE, GATE, SESSION, CLIENTS})
        faults |= {f"an I/O room, but imports {name}" for name in rooms - PURE - allowed}
    elif room not in TOOLS:
        faults |= {f"part of the functions, but imports {name}" for name in rooms & TOOLS}
    for name in outside & set(KEPT):
        if room not in KEPT[name]:
            faults.add(f"only {' and '.join(sorted(KEPT[name]))} imports {name}")
    if room not in TOOLS and module != READS_ENVIRONMENT:
        faults |= {f"the environment is read past config: {name}" for name in attributes(tree, ENVIRONMENT)}
    return sorted(faults)


MODULES = {
    ".".join(path.relative_to(ENGINE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ENGINE.rglob("*.py"))
}


@pytest.mark.parametrize("module", MODULES)
def test_no_room_reaches_where_it_must_not(module: str) -> None:
    path = MODULES[module]
    assert broken_rules(module, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize("module", MODULES)
def test_no_module_outgrows_its_room(module: str) -> None:
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("engine.retry", "import random", "pure, but imports random"),
        ("engine.retry", "import time as clock", "pure, but imports time"),
        ("engine.items", "from os.path import join", "pure, but imports os"),
        ("engine.items", "def f():\n    import asyncio", "pure, but imports asyncio"),
        ("engine.items", "if TYPE_CHECKING:\n    from botocore.client import X", "pure, but imports botocore"),
        ("engine.records", "from .table import write", "pure, but imports table"),
        ("engine.records", "from . import errors, config", "pure, but imports config"),
        ("engine.records", "import engine", "pure, but imports handlers"),
        ("engine.messages", "at = datetime.datetime.now(UTC)", "pure, but reads the clock: now"),
        ("engine.messages", "at = date.today()", "pure, but reads the clock: today"),
        ("engine.queues", "from engine import table", "an I/O room, but imports table"),
        ("engine.aws", "import engine.table.rows", "an I/O room, but imports table"),
        ("engine.table", "from engine.config import Settings", "an I/O room, but imports config"),
        ("engine.ledger", "from .handlers.worker import handler", "an I/O room, but imports handlers"),
        ("engine.config", "from .cli import main", "part of the functions, but imports cli"),
        ("engine.handlers.worker", "from ..local import server", "part of the functions, but imports local"),
        ("engine.objects", "import aiohttp", "only clients and proxied imports aiohttp"),
        ("engine.table", "from engine.http1 import Pool", "an I/O room, but imports http1"),
        ("engine.aws", "import httptools", "only download and http1 imports httptools"),
        ("engine.handlers.worker", "from aioboto3 import Session", "only clients imports aioboto3"),
        ("engine.cli.demo", "import aiobotocore.session", "only clients imports aiobotocore"),
        ("engine.table", "import os\nname = os.environ['TABLE_NAME']", "the environment is read past config: environ"),
        ("engine.config", "from os import getenv", "the environment is read past config: getenv"),
        ("engine.handlers.worker", "import os\nos.getenv('X')", "the environment is read past config: getenv"),
        ("engine.helpers", "", "helpers is no known room: say in this test what it may reach"),
        ("engine", "from .aws import Clients", "the package itself imports aws"),
    ],
)
def test_a_module_that_breaks_a_rule_is_caught(module: str, source: str, fault: str) -> None:
    assert fault in broken_rules(module, source, is_package=module == "engine")


@pytest.mark.parametrize(
    ("module", "source", "is_package"),
    [
        ("engine.items", "from . import errors\nfrom .schema import Plan\nfrom datetime import datetime", False),
        ("engine.table", "import asyncio\nfrom .aws import Lane\nfrom botocore.exceptions import ClientError", False),
        ("engine.clients", "import aiohttp\nfrom .errors import Fault", False),
        ("engine.handlers", "from .process import run\nfrom ..table import Table\nfrom engine.config import C", True),
        ("engine.handlers.process", "import os\nfrom ..config import from_env\nfrom_env(os.environ)", False),
        ("engine.local.server", "import os\nos.environ['PATH']\nfrom ..cli import main", False),
        ("engine", "from importlib.metadata import version", True),
    ],
)
def test_a_module_that_keeps_the_rules_passes(module: str, source: str, is_package: bool) -> None:
    assert broken_rules(module, source, is_package=is_package) == []


@pytest.mark.parametrize("handler", ["producer", "worker", "query"])
def test_a_cold_start_loads_no_general_client(handler: str) -> None:
    slow = ("aioboto3", "aiobotocore", "aiohttp", "boto3")
    program = f"import sys, engine.handlers.{handler}; print([name for name in {slow} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout == "[]\n"
