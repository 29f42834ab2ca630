"""The command `millpond`: try it out, run it on one machine, feed it files."""

from engine.cli.command import main

__all__ = ["main"]
