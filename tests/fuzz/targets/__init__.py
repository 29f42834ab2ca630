"""What is fuzzed: one module each."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

NAMES = (
    "reading",
    "spans",
    "messages",
    "worker",
    "events",
    "producer",
    "requests",
    "schemas",
    "patterns",
    "replies",
    "http1",
)


class Target(NamedTuple):
    """`check` raises for what must not happen; `seeds` are inputs to start from, `tokens` pieces to put into them."""

    name: str
    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]


def target(name: str) -> Target:
    """Load a target. Atheris must be there first: it follows what is imported after it."""
    module = import_module(f"tests.fuzz.targets.{name}")
    return Target(name, module.check, module.SEEDS, module.TOKENS)
