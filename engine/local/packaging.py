"""The production template, fitted to an AWS that runs functions as processes of this machine. Pure.

In production the functions are container images. Locally each becomes an inline file that imports the same handler
from this checkout; roles, queues, notifications and everything else stay as they are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

Template = dict[str, Any]
"""A CloudFormation template as plain data, short tags written out (`{"Ref": …}`, `{"Fn::Sub": …}`)."""


# Lambda's runtime gives the root logger a handler. MiniStack's does not, and without one Python drops lines below
# WARNING, such as that of a file without rejects.
_INDEX = """\
import logging
from {module} import {function} as handler
logging.basicConfig(format="%(message)s")
__all__ = ["handler"]
"""

_TLS_POLICIES = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy")


class TemplateError(Exception):
    """The template is not what CloudFormation, or this module, understands."""


def read_template(text: str) -> Template:
    """Parse a YAML template with CloudFormation's short tags; raises `TemplateError`."""
    try:
        template = yaml.load(text, Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader with tags of ours
    except yaml.YAMLError as error:
        raise TemplateError(f"the template is not valid YAML: {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError("the template has no Resources")
    return template


def run_from_source(
    template: Template, *, runtime: str, python_path: Sequence[str], parameters: Mapping[str, str]
) -> Template:
    """A copy of `template` whose image functions run on the interpreter of the endpoint instead, and without TLS.

    `runtime` is Lambda's name of that interpreter (`python3.11`), `python_path` the directories in which it finds
    the handlers and their dependencies, `parameters` what the template will be deployed with. Parameters that only
    named images are dropped.
    """
    template = copy.deepcopy(without_tls_policies(template))
    images: set[str] = set()
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if scaling := properties.get("ScalingConfig"):
            # MiniStack compares this with a number as it stands, but every parameter arrives as a string: with a
            # reference here, its queue poller fails on each round and no worker is ever invoked.
            name_of_limit = scaling["MaximumConcurrency"]["Ref"]
            default = template["Parameters"][name_of_limit]["Default"]
            scaling["MaximumConcurrency"] = int(parameters.get(name_of_limit, default))
        for policy in properties.get("Policies", []):
            _name_batch_actions(policy["PolicyDocument"]["Statement"])
        if resource.get("Type") == "AWS::Lambda::Function" and properties.get("PackageType") == "Image":
            images.add(properties["Code"]["ImageUri"].get("Ref", ""))
            _unpack(name, properties, runtime=runtime, python_path=python_path)
    for image in images:
        template.get("Parameters", {}).pop(image, None)
    # The console's form groups parameters by name, those of the images too.
    template.pop("Metadata", None)
    return template


def without_tls_policies(template: Template) -> Template:
    """Return a template without the policies that refuse calls by plain HTTP, for an endpoint that has no TLS."""
    kept = {name: each for name, each in template["Resources"].items() if each.get("Type") not in _TLS_POLICIES}
    return {**template, "Resources": kept}


def write_template(template: Template) -> str:
    """The template as compact JSON: a template body may have 51,200 bytes."""
    return json.dumps(template, separators=(",", ":"))


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
    """Allow sending messages in batches wherever sending them is allowed.

    In AWS that is one permission, `sqs:SendMessage`, and no other exists. MiniStack checks the name of the operation.
    """
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if "sqs:SendMessage" in actions:
            statement["Action"] = [*actions, "sqs:SendMessageBatch"]


class _TemplateLoader(yaml.SafeLoader):
    """YAML as CloudFormation reads it."""


def _short_tag(loader: _TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has no fourth kind
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _short_tag)
