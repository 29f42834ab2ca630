"""CloudFormation templates: YAML with short tags -> plain data -> a template body. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from engine.errors import MillpondError

Template = dict[str, Any]
"""A CloudFormation template as plain data, short tags written out (`{"Ref": …}`, `{"Fn::Sub": …}`)."""


class TemplateError(MillpondError):
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


def write_template(template: Template) -> str:
    """The template as compact JSON: a template body may have 51,200 bytes."""
    return json.dumps(template, separators=(",", ":"))


def with_defaults(template: Template, defaults: Mapping[str, str]) -> Template:
    """Return a template with other defaults of its parameters.

    Raises `TemplateError` if a parameter has no default to replace.
    """
    parameters = dict(template["Parameters"])
    for name, value in defaults.items():
        if "Default" not in parameters.get(name, {}):
            raise TemplateError(f"the template has no parameter {name} with a default")
        parameters[name] = {**parameters[name], "Default": value}
    return {**template, "Parameters": parameters}


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


_TLS_POLICIES = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy")


def without_tls_policies(template: Template) -> Template:
    """Return a template without the policies that refuse calls by plain HTTP, for an endpoint that has no TLS."""
    kept = {name: each for name, each in template["Resources"].items() if each.get("Type") not in _TLS_POLICIES}
    return {**template, "Resources": kept}
