"""The base image of the three images: named in one file of the checkout, which pins it by digest."""

from __future__ import annotations

import re
from pathlib import Path

from engine.deployment.images import Builder, ImageError

FILE = Path("deploy", "image", "base.txt")
"""The file, relative to the checkout. Its content is what the Dockerfiles take as `BASE_IMAGE`, one line."""

_PINNED = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def base_image(checkout: Path) -> str:
    """Return the base image that a checkout names, pinned or not. Raises `ImageError`."""
    try:
        words = (checkout / FILE).read_text().split()
    except OSError as error:
        raise ImageError(
            f"{checkout / FILE} cannot be read: {error.strerror}. Restore it from the repository."
        ) from None
    if len(words) != 1:
        raise ImageError(f"{checkout / FILE} must hold one image name, such as python:3.13-slim.")
    return words[0]


def is_pinned(image: str) -> bool:
    """Return whether an image is named by its digest."""
    return _PINNED.fullmatch(image) is not None


def pin(checkout: Path, builder: Builder) -> str:
    """Look up the digest that the base image's tag has now, record it in the checkout, and return the pinned name.

    A digest recorded before is replaced. Raises `ImageError`, and then the file is as before.
    """
    image = base_image(checkout).partition("@")[0]
    pinned = f"{image}@{builder.digest(image)}"
    try:
        (checkout / FILE).write_text(f"{pinned}\n")
    except OSError as error:
        raise ImageError(
            f"{checkout / FILE} cannot be written: {error.strerror}. Name the base instead: --base-image {pinned}"
        ) from None
    return pinned
