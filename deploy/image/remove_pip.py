"""Removes pip, its commands, and setuptools: a function installs nothing, and an intruder must not.

Runs once and removes itself.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

for name in ("pip", "setuptools", "ensurepip"):
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for path in (package, *package.parent.glob(f"{name}-*")):
            shutil.rmtree(path)

for folder in (Path(sys.executable).parent, Path("/usr/bin"), Path("/usr/local/bin")):
    for script in folder.glob("pip*"):
        script.unlink()

Path(__file__).unlink()
