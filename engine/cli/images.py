"""`millpond images`: the three container images, built on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cli.display import Display
from engine.deployment.images import Builder, build_all
from engine.local.server import CHECKOUT


def run_images(
    display: Display, *, builder: str | None, architecture: str, base_image: str | None, options: Sequence[str]
) -> int:
    """Build, and say what the images are called: exit code 0."""
    found = Builder.find(builder)
    display.heading(f"Images for {architecture}, by {found.program}")
    tags = build_all(found, checkout=CHECKOUT, architecture=architecture, base_image=base_image, options=options)
    for tag in tags.values():
        display.done(tag)
    return 0
