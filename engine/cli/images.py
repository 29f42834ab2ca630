"""`millpond images` and `millpond base-image`: the three container images and their base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.cli.display import Display
from engine.deployment import base
from engine.deployment.images import Builder, Recipe, build_all
from engine.deployment.schema_file import SchemaFile


def run_images(
    display: Display,
    checkout: Path,
    *,
    architecture: str,
    base_image: str | None,
    builder: str | None,
    options: Sequence[str],
    schema: SchemaFile | None = None,
) -> int:
    """Build the images and show their names; return exit code 0."""
    found = Builder.find(builder)
    base_image = base_image or pinned_base(display, checkout, found)
    recipe = Recipe(checkout, architecture, base_image, options, schema or SchemaFile.packaged())
    display.heading(f"Images for {recipe.architecture}, by {found.program}")
    for tag in build_all(found, recipe).values():
        display.done(tag)
    return 0


def run_base_image(display: Display, checkout: Path, *, builder: str | None) -> int:
    """Pin the base image to the current digest of its tag; return exit code 0."""
    found = Builder.find(builder)
    before = base.base_image(checkout)
    with display.step(f"looking up {before.partition('@')[0]}", "base image looked up"):
        pinned = base.pin(checkout, found)
    display.line(pinned, style="cyan")
    display.note(
        "It has not changed." if pinned == before else f"Recorded in {base.FILE}: commit it, then build or deploy."
    )
    return 0


def pinned_base(display: Display, checkout: Path, builder: Builder) -> str:
    """Return the pinned base image of a checkout; the first build on an unpinned one pins it. Raises `ImageError`."""
    named = base.base_image(checkout)
    if base.is_pinned(named):
        return named
    with display.step(f"pinning the base image {named}", "base image pinned"):
        pinned = base.pin(checkout, builder)
    display.note(f"{pinned}, recorded in {base.FILE}: commit it, so that every build uses the same.")
    return pinned
