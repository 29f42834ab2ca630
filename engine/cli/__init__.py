"""The command `millpond`: try the system, run it on one machine, deploy it, and ingest files."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command with `arguments` (None: those of the process); return the exit code."""
    try:
        # Importing takes a moment, during which Ctrl-C may arrive.
        from engine.cli.command import main as run

        return run(arguments)
    except KeyboardInterrupt:
        return 130


__all__ = ["main"]
