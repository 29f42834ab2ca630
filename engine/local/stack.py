"""Deploy the template to a local AWS, with the functions running from this checkout."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from engine.config import PACKAGED_SCHEMA
from engine.deployment import STACK_NAME
from engine.deployment.checkout import CHECKOUT, TEMPLATE
from engine.deployment.schema_file import SchemaFile
from engine.deployment.stack import Stack, StackError, deploy
from engine.deployment.template import read_template, write_template
from engine.local.packaging import run_from_source

_LOCAL_PARAMETERS = {
    # The port is only open to this machine, and browsers and curl do not sign requests.
    "ApiAuthorization": "NONE",
    # Each worker is a process of its own here, and all wait for one server: on two cores, 50,000 rows took 9.7 s
    # with two of them, 11.4 s with four, 21.4 s with eight. AWS does not allow fewer than two.
    "WorkerMaximumConcurrency": "2",
}


async def deploy_local(
    endpoint_url: str,
    *,
    name: str = STACK_NAME,
    schema: Path = PACKAGED_SCHEMA,
    parameters: Mapping[str, str] | None = None,
) -> Stack:
    """Deploy `deploy/template.yaml` to a local AWS, with functions that run from this checkout. Raises `StackError`.

    The functions read `schema` where it is. `parameters` of the template take precedence over those that follow from
    it, and those set here for one machine (an open API, few workers).
    """
    if not TEMPLATE.is_file():
        raise StackError(f"No {TEMPLATE}: the local AWS runs from a checkout of the project.")
    given = SchemaFile.read(schema)
    parameters = _LOCAL_PARAMETERS | given.names() | given.parameters(str(schema)) | dict(parameters or {})
    packages = dict.fromkeys([str(CHECKOUT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    template = run_from_source(
        read_template(TEMPLATE.read_text()),
        runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        python_path=list(packages),
        parameters=parameters,
    )
    return await deploy(name, write_template(template), parameters, endpoint_url=endpoint_url)
