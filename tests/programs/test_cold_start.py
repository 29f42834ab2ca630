"""Cold starts: what importing a handler loads in a fresh interpreter, and what it costs."""

import json
import subprocess
import sys

import pytest

# What an invocation loads before it does anything: a cold start pays for each of them.
LOADED = {"botocore", "certifi", "dateutil", "engine", "httptools", "jmespath", "orjson", "six", "urllib3", "uvloop"}
# urllib3 imports backports.zstd wherever it is installed: 2 ms.
LOADED.add("backports")
ALLOWED = {"producer": LOADED, "worker": LOADED, "query": LOADED}

_IMPORT = """
import json, sys, time
began = time.process_time()
{statement}
seconds = time.process_time() - began
tops = {{name.split(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
print(json.dumps([seconds, sorted(top for top in tops if not top.startswith(("_", "cython")))]))
"""


def _import(statement: str) -> tuple[float, set[str]]:
    """CPU seconds that an import takes in a fresh interpreter, and the packages that are loaded by then."""
    program = _IMPORT.format(statement=statement)
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    seconds, loaded = json.loads(printed)
    return seconds, set(loaded)


@pytest.mark.parametrize("handler", ALLOWED)
def test_cold_start_imports_only_allowed_packages(handler: str) -> None:
    _, loaded = _import(f"import engine.handlers.{handler}")
    assert loaded - ALLOWED[handler] == set()


@pytest.mark.parametrize("handler", ALLOWED)
def test_cold_start_takes_little_longer_than_required_imports(handler: str) -> None:
    # Relative to the packages themselves, for the machine's speed is not what is tested; the best of three of each.
    packages = min(_import("import asyncio, botocore.session, httptools, orjson, uvloop")[0] for _ in range(3))
    whole = min(_import(f"import engine.handlers.{handler}")[0] for _ in range(3))
    assert whole < 2 * packages


@pytest.mark.parametrize("handler", ALLOWED)
def test_garbage_collector_does_not_run_during_a_cold_start(handler: str) -> None:
    program = f"""
import gc
runs = lambda: sum(each["collections"] for each in gc.get_stats())
before = runs()
import engine.handlers.{handler}
print(runs() - before)
"""
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    # Once at the most, until the package itself is imported.
    assert int(printed) <= 1
