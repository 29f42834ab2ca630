"""The production template, fitted to an AWS that runs functions as processes of this machine. Pure.

In production the functions are container images. Locally each becomes an inline file that imports the same handler
from this checkout; roles, queues, notifications and everything else stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from engine.deployment.template import Template, TemplateError, without_tls_policies

# Lambda's runtime gives the root logger a handler. MiniStack's does not, and without one Python drops lines below
# WARNING, such as the one about a file without rejects.
_INDEX = """\
import logging
from {module} import {function} as handler
logging.basicConfig(format="%(message)s")
__all__ = ["handler"]
"""


def run_from_source(
    template: Template, *, runtime: str, python_path: Sequence[str], parameters: Mapping[str, str]
) -> Template:
    """Return a copy of `template` whose functions run from source instead of from images, and without TLS.

    `runtime` is Lambda's name of the interpreter (`python3.11`), `python_path` the directories with the handlers and
    their dependencies, `parameters` what the template will be deployed with. Parameters for images are dropped.
    """
    template = copy.deepcopy(without_tls_policies(template))
    images: set[str] = set()
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if scaling := properties.get("ScalingConfig"):
            # MiniStack compares this with a number, but parameters are strings: with a reference here its queue poller
            # fails in each round, and no worker is invoked.
            # It has no provisioned pollers, which are the other branch.
            name_of_limit = scaling["Fn::If"][2]["MaximumConcurrency"]["Ref"]
            default = template["Parameters"][name_of_limit]["Default"]
            properties["ScalingConfig"] = {"MaximumConcurrency": int(parameters.get(name_of_limit, default))}
            properties.pop("ProvisionedPollerConfig", None)
        for policy in properties.get("Policies", []):
            _name_batch_actions(policy["PolicyDocument"]["Statement"])
        if resource.get("Type") == "AWS::Lambda::Function" and properties.get("PackageType") == "Image":
            images.add(properties["Code"]["ImageUri"].get("Ref", ""))
            _unpack(name, properties, runtime=runtime, python_path=python_path)
    for image in images:
        template.get("Parameters", {}).pop(image, None)
    # It groups parameters for the console's form, and names those that were dropped.
    template.pop("Metadata", None)
    return template


def _unpack(name: str, properties: dict[str, Any], *, runtime: str, python_path: Sequence[str]) -> None:
    command = properties.pop("ImageConfig", {}).get("Command", [])
    if len(command) != 1:
        raise TemplateError(f"{name}: ImageConfig.Command must name one handler")
    module, _, function = command[0].rpartition(".")
    properties["PackageType"] = "Zip"
    properties["Runtime"] = runtime
    properties["Handler"] = "index.handler"
    # The file's name differs from the handler's: a package called `engine` in the zip would hide the real one.
    properties["Code"] = {"ZipFile": _INDEX.format(module=module, function=function)}
    variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
    variables["PYTHONPATH"] = ":".join(python_path)


def _name_batch_actions(statements: list[dict[str, Any]]) -> None:
    """Allow SendMessageBatch wherever SendMessage is allowed.

    AWS has one permission for both, `sqs:SendMessage`. MiniStack checks the name of the operation.
    """
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if "sqs:SendMessage" in actions:
            statement["Action"] = [*actions, "sqs:SendMessageBatch"]
