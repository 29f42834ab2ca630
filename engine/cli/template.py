"""`millpond template`: the template with the defaults of a schema, for deployments without `millpond deploy`."""

from __future__ import annotations

import sys

from engine.cli.errors import CliError
from engine.deployment.checkout import TEMPLATE
from engine.deployment.schema_file import SchemaFile
from engine.deployment.template import with_defaults


def run_template(schema: SchemaFile) -> int:
    """Write the template to standard output; return exit code 0."""
    if not TEMPLATE.is_file():
        raise CliError(f"Not found: {TEMPLATE}. Run this from a checkout of Millpond.")
    text = TEMPLATE.read_text(encoding="utf-8")
    sys.stdout.write(with_defaults(text, {**schema.names(), **schema.parameters()}))
    return 0
