"""The command `millpond`: try it out, run it on one machine, feed it files."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are those of the process unless given. Returns the exit code."""
    try:
        # Loading takes a moment, and Ctrl-C may come in it.
        from engine.cli.command import main as run

        return run(arguments)
    except KeyboardInterrupt:
        return 130


__all__ = ["main"]
