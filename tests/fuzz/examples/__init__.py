"""Inputs that failed once, in a folder for each target: each is tried by the tests."""

import hashlib
from pathlib import Path

EXAMPLES = Path(__file__).parent


def examples(name: str) -> list[Path]:
    """The inputs of a target, by their names."""
    return sorted(path for path in (EXAMPLES / name).glob("*") if path.is_file())


def keep(name: str, data: bytes) -> Path:
    """Add an input to those of a target."""
    path = EXAMPLES / name / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path
