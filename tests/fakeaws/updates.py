"""DynamoDB's UpdateItem: `SET #a = :b` and `SET #a = if_not_exists(#a, :b)`, joined by commas."""

import re
from collections.abc import Mapping
from typing import Any

from tests.fakeaws.attributes import check_value, invalid
from tests.fakeaws.errors import not_modelled

Json = dict[str, Any]

_TERM = re.compile(r"(#\w+)\s*=\s*(?:(:\w+)|if_not_exists\(\s*(#\w+)\s*,\s*(:\w+)\s*\))")
_SET = re.compile(r"\s*SET\s+(.*)", re.DOTALL)


def updated(item: Mapping[str, Any], request: Mapping[str, Any], key: Mapping[str, str]) -> Json:
    """Return `item` as the request's update expression leaves it. Raises `Refusal`."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    for value in values.values():
        check_value(value)
    found = _SET.fullmatch(request.get("UpdateExpression", ""))
    if found is None:
        raise not_modelled("such UpdateExpression")
    after = {**item, **request["Key"]}
    used = set()
    for text in re.split(r",(?![^(]*\))", found[1]):
        term = _TERM.fullmatch(text.strip())
        if term is None:
            raise not_modelled(f"the update {text}")
        name, value, kept, default = term.groups()
        used |= {each for each in term.groups() if each}
        target, source = names.get(name), value or default
        if target is None or source not in values or (kept and kept not in names):
            raise invalid("An expression attribute name or value used in the document path is not defined")
        if target in key:
            raise invalid(f"Cannot update attribute {target}. This attribute is part of the key")
        after[target] = item.get(names[kept], values[source]) if kept else values[source]
    condition = request.get("ConditionExpression", "")
    for given in (*names, *values):
        if given not in used and not re.search(rf"{re.escape(given)}\b", condition):
            raise invalid(f"Value unused in expressions: {given}")
    return after
