"""Assembles what a function's image holds on top of Python; runs inside the build, on the standard library alone.

    assemble.py packages requirements.txt SERVICE...   install packages; keep botocore's data of these services only
    assemble.py handler NAME                           add the engine with that handler, and compile everything

Everything goes into one directory, which the last stage of the Dockerfile copies as one layer.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

TARGET = Path("/opt/millpond")

# botocore reads these for every service: endpoints and partitions, defaults, retries.
SHARED_DATA = ("_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json")

# Never used at run time: sources of compiled modules, stubs, tests, command-line scripts, boto3's resources.
SOURCES = [f"**/*.{suffix}" for suffix in ("pyx", "pxd", "pxi", "c", "h", "pyi")]
LEFT_OUT = (*SOURCES, "**/tests", "bin", "boto3/data", "boto3/examples")

TOOLS = ("cli", "deployment", "local")
"""Packages of the engine that only run on a developer's machine."""

HANDLER_PARTS = ("__init__.py", "accounting.py", "runtime.py")


def install(requirements: str, services: list[str]) -> None:
    """Install the packages, checked against their hashes, and remove what is never used."""
    options = ["--require-hashes", "--only-binary=:all:", "--no-cache-dir", "--no-compile", "--no-deps"]
    quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    command = [sys.executable, "-m", "pip", "install", *quiet, *options, "--target", str(TARGET)]
    subprocess.run([*command, "--requirement", requirements], check=True)  # noqa: S603 - what is run is written here
    for pattern in LEFT_OUT:
        for path in list(TARGET.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    data = TARGET / "botocore" / "data"
    missing = [name for name in (*services, *SHARED_DATA) if not any(data.glob(f"{name}*"))]
    if missing:
        sys.exit(f"botocore has no data called {', '.join(missing)}: has its layout changed?")
    for path in data.iterdir():
        if path.is_dir() and path.name not in services:
            shutil.rmtree(path)
        elif path.is_file() and not path.name.startswith(SHARED_DATA):
            path.unlink()


def add(handler: str) -> None:
    """Add the engine with one handler, compile everything, and import it once."""
    engine = TARGET / "engine"
    shutil.copytree("engine", engine, ignore=shutil.ignore_patterns(*TOOLS, "handlers", "__pycache__"))
    (engine / "handlers").mkdir()
    for name in (*HANDLER_PARTS, f"{handler}.py"):
        shutil.copy(Path("engine", "handlers", name), engine / "handlers" / name)
    # The function runs as an unknown user, and the files of a checkout may be readable by their owner only.
    for path in (TARGET, *TARGET.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    # Unchecked hashes, not timestamps: the timestamps of a layer differ from those of the build.
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(TARGET, quiet=1, workers=0, invalidation_mode=unchecked, stripdir=str(TARGET)):
        sys.exit("not everything could be compiled")
    # RE2 is loaded by some schemas only, and needs a library of the base.
    modules = f"import awslambdaric, engine.handlers.{handler}, engine.schema.patterns"
    environment = {**os.environ, "PYTHONPATH": str(TARGET), "PYTHONDONTWRITEBYTECODE": "1"}
    command, nobody = [sys.executable, "-c", modules], 65532
    subprocess.run(command, check=True, cwd=TARGET, env=environment, user=nobody, group=nobody)  # noqa: S603 - as above


def main(arguments: list[str]) -> None:
    """Do one step."""
    match arguments:
        case ["packages", requirements, *services] if services:
            install(requirements, services)
        case ["handler", handler]:
            add(handler)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
