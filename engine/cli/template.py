"""`millpond template`: the template with the defaults of a schema, for deployments without `millpond deploy`.

It is written as compact JSON, which fits into a request to CloudFormation: with its comments it would have to be
uploaded to a bucket first.
"""

from __future__ import annotations

import sys

from engine.cli.errors import CliError
from engine.deployment.checkout import TEMPLATE
from engine.deployment.schema_file import SchemaFile
from engine.deployment.template import read_template, with_defaults, write_template


def run_template(schema: SchemaFile) -> int:
    """Write the template to standard output; return exit code 0."""
    if not TEMPLATE.is_file():
        raise CliError(f"Not found: {TEMPLATE}. Run this from a checkout of Millpond.")
    template = read_template(TEMPLATE.read_text(encoding="utf-8"))
    sys.stdout.write(write_template(with_defaults(template, {**schema.names(), **schema.parameters()})) + "\n")
    return 0
