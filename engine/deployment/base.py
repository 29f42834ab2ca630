"""The base image of the three images: one file of the checkout names it and pins it by digest."""

from __future__ import annotations

import re
from pathlib import Path

from engine.deployment.images import Builder, ImageError

FILE = Path("deploy", "image", "base.txt")
"""The file, relative to the checkout: one line, the value of `BASE_IMAGE` in the Dockerfiles."""

_PINNED = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


def base_image(checkout: Path) -> str:
    """Return the base image of a checkout, pinned or not. Raises `ImageError`."""
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
    """Look up the current digest of the base image's tag, record it in the checkout, and return the pinned name.

    Replaces an earlier digest. Raises `ImageError` and leaves the file unchanged.
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
