"""`millpond images`: the three container images, built on this machine."""

from __future__ import annotations

from engine.cli.display import Display
from engine.deployment.images import Builder, Recipe, build_all


def run_images(display: Display, recipe: Recipe, *, builder: str | None) -> int:
    """Build, and say what the images are called: exit code 0."""
    found = Builder.find(builder)
    display.heading(f"Images for {recipe.architecture}, by {found.program}")
    for tag in build_all(found, recipe).values():
        display.done(tag)
    return 0
