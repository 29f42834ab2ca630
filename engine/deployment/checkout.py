"""The checkout that images are built from and that the local AWS runs."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
"""The directory that holds `engine/`, `deploy/` and `examples/`."""

TEMPLATE = CHECKOUT / "deploy" / "template.yaml"
