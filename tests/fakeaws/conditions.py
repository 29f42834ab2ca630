"""Conditions of a DynamoDB write: terms joined by OR, AND and brackets, each `attribute_not_exists(name)`,
a comparison to a value, or BETWEEN two of them.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakeaws.attributes import check_value, comparable, invalid
from tests.fakeaws.errors import not_modelled
from tests.fakeaws.reads import ORDERINGS

Json = dict[str, Any]
Condition = Callable[[Mapping[str, Any]], bool]
"""Whether the item that is there (empty: none) meets a condition."""

_ABSENT = re.compile(r"attribute_not_exists\s*\(\s*(#?\w+)\s*\)")
_COMPARES = re.compile(r"(#?\w+)\s*(=|<=?|>=?)\s*(:\w+)")
_BETWEEN = re.compile(r"(#?\w+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)", re.IGNORECASE)
_WORDS = re.compile(
    rf"\s*(?:(?P<term>{_ABSENT.pattern}|{_BETWEEN.pattern}|{_COMPARES.pattern})|(?P<word>AND\b|OR\b|[()]))",
    re.IGNORECASE,
)


def condition_of(request: Mapping[str, Any], also: str = "") -> Condition:
    """Return the condition of a request; one without any is always met. Raises `Refusal`.

    `also`: another expression of the request, which may use its names and values.
    """
    expression = request.get("ConditionExpression")
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    for value in values.values():
        check_value(value)
    if expression is None:
        if (names or values) and not also:
            raise invalid("ExpressionAttributeNames can only be specified when using expressions")
        return lambda item: True
    words, end = [], 0
    while end < len(expression.rstrip()):
        found = _WORDS.match(expression, end)
        if found is None:
            raise not_modelled(f"the condition {expression[end:]}")
        term, end = found["term"], found.end()
        words.append(_term(term, names, values) if term else found["word"].upper())
    condition = _any_of(words)
    if words:
        raise not_modelled(f"the condition {expression}")
    for given in (*names, *values):
        if not re.search(rf"{re.escape(given)}\b", f"{expression} {also}"):
            raise invalid(f"Value unused in expressions: {given}")
    return condition


def _any_of(words: list[Any]) -> Condition:
    """Take terms joined by OR from the words of an expression."""
    terms = _joined(words, "OR", _all_of)
    return lambda item: any(term(item) for term in terms)


def _all_of(words: list[Any]) -> Condition:
    terms = _joined(words, "AND", _one_of)
    return lambda item: all(term(item) for term in terms)


def _joined(words: list[Any], by: str, take: Callable[[list[Any]], Condition]) -> list[Condition]:
    terms = [take(words)]
    while words[:1] == [by]:
        del words[0]
        terms.append(take(words))
    return terms


def _one_of(words: list[Any]) -> Condition:
    word: Condition | str = words.pop(0) if words else ""
    if word == "(":
        term = _any_of(words)
        if words[:1] != [")"]:
            raise invalid("Syntax error in ConditionExpression")
        del words[0]
        return term
    if isinstance(word, str):
        raise invalid("Syntax error in ConditionExpression")
    return word


def _term(text: str, names: Mapping[str, str], values: Mapping[str, Json]) -> Condition:
    def attribute(name: str) -> str:
        if name.startswith("#") and name not in names:
            raise invalid(f"An expression attribute name used in the document path is not defined: {name}")
        return names.get(name, name)

    if found := _ABSENT.fullmatch(text):
        absent = attribute(found[1])
        return lambda item: absent not in item
    if found := _BETWEEN.fullmatch(text):
        low, high = (_term(f"{found[1]} {sign} {found[end]}", names, values) for sign, end in ((">=", 2), ("<=", 3)))
        return lambda item: low(item) and high(item)
    if not (found := _COMPARES.fullmatch(text)):
        raise not_modelled(f"the condition {text}")
    compared, ordering = attribute(found[1]), ORDERINGS[found[2]]
    if found[3] not in values:
        raise invalid(f"An expression attribute value used in expression is not defined: {found[3]}")
    ((kind, operand),) = values[found[3]].items()

    def holds(item: Mapping[str, Any]) -> bool:
        # Values of different types never compare, and neither does what is not there.
        there = item.get(compared, {}).get(kind)
        return there is not None and ordering(comparable(kind, there), comparable(kind, operand))

    return holds
