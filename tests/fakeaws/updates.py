"""DynamoDB's UpdateItem: `SET #a = :b` and `SET #a = if_not_exists(#a, :b)`, joined by commas, or `ADD #a :b`.

`REMOVE #a, #b` may follow.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.fakeaws.attributes import EXACT, check_value, invalid
from tests.fakeaws.errors import not_modelled

Json = dict[str, Any]

_TERM = re.compile(r"(#\w+)\s*=\s*(?:(:\w+)|if_not_exists\(\s*(#\w+)\s*,\s*(:\w+)\s*\))")
_ADDED = re.compile(r"(#\w+)\s+(:\w+)")
_CLAUSE = re.compile(r"\s*(SET|ADD)\s+(.*?)(?:\s+REMOVE\s+(#\w+(?:\s*,\s*#\w+)*))?", re.DOTALL)


def updated(item: Mapping[str, Any], request: Mapping[str, Any], key: Mapping[str, str]) -> tuple[Json, list[str]]:
    """Return `item` as the request's update expression leaves it, and which attributes that sets. Raises `Refusal`."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    for value in values.values():
        check_value(value)
    found = _CLAUSE.fullmatch(request.get("UpdateExpression", ""))
    if found is None:
        raise not_modelled("such UpdateExpression")
    adds = found[1] == "ADD"
    after = {**item, **request["Key"]}
    used: set[str] = set()
    changed = []
    for text in re.split(r",(?![^(]*\))", found[2]):
        term = (_ADDED if adds else _TERM).fullmatch(text.strip())
        if term is None:
            raise not_modelled(f"the update {text}")
        name, value, kept, default = (*term.groups(), None, None)[:4]
        used |= {each for each in (name, value, kept, default) if each}
        target, source = names.get(name), value or default
        if target is None or source not in values or (kept and kept not in names):
            raise invalid("An expression attribute name or value used in the document path is not defined")
        if target in key:
            raise invalid(f"Cannot update attribute {target}. This attribute is part of the key")
        if adds:
            after[target] = _sum(item.get(target, {"N": "0"}), values[source])
        else:
            after[target] = item.get(names[kept], values[source]) if kept else values[source]
        changed.append(target)
    removed = _names_in(found[3] or "", names)
    used |= removed.keys()
    changed += removed.values()
    after = {name: value for name, value in after.items() if name not in removed.values()}
    condition = request.get("ConditionExpression", "")
    for given in (*names, *values):
        if given not in used and not re.search(rf"{re.escape(given)}\b", condition):
            raise invalid(f"Value unused in expressions: {given}")
    return after, changed


def _names_in(removed: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of a REMOVE clause by their names in the expression."""
    found = re.findall(r"#\w+", removed)
    if not names.keys() >= set(found):
        raise invalid("An expression attribute name used in the document path is not defined")
    return {name: names[name] for name in found}


def _sum(there: Json, more: Json) -> Json:
    """Add two numbers; sets are not modelled."""
    if there.keys() != {"N"} or more.keys() != {"N"}:
        raise invalid("An operand in the update expression has an incorrect data type")
    return {"N": format(EXACT.add(Decimal(there["N"]), Decimal(more["N"])), "f")}
