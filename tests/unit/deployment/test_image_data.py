"""The images hold botocore's data of each service that their function calls: it is left out of them otherwise."""

import ast
import re
from pathlib import Path

import pytest

from engine.aws import types
from engine.aws.types import Operation

ROOT = Path(__file__).parents[3]


def services_of(module: str) -> set[str]:
    """The services that a handler opens lanes or clients of."""
    services: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "engine" / "handlers" / f"{module}.py").read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.module == "engine.aws.types":
            named = [getattr(types, alias.name, None) for alias in node.names]
            services |= {each.service for each in named if isinstance(each, Operation)}
        elif node.module == "engine.aws.s3":
            services.add("s3")
        elif node.module == "engine.handlers.accounting":
            services |= services_of("accounting")
    return services


@pytest.mark.parametrize("handler", ["producer", "worker", "query"])
def test_image_has_the_data_of_each_service_that_is_called(handler: str) -> None:
    text = (ROOT / f"Dockerfile.{handler}").read_text("utf-8")
    found = re.search(r'"packages", "functions.txt", (.*)\]', text)
    assert found
    assert set(re.findall(r'"(\w+)"', found[1])) == services_of(handler)
