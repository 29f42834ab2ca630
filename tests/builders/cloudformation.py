"""A template as CloudFormation would see it with some of its parameters known. Evaluates only what they decide."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.deployment.template import Template

_NOTHING: Any = {"Ref": "AWS::NoValue"}


class _Evaluator:
    def __init__(self, template: Template, known: Mapping[str, str]) -> None:
        self._conditions: dict[str, Any] = template.get("Conditions", {})
        self._known = known
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::If": self._if,
            "Fn::Sub": self._sub,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
        }

    def value(self, given: Any) -> Any:
        if isinstance(given, list):
            return [each for each in map(self.value, given) if each != _NOTHING]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            ((name, argument),) = given.items()
            if (function := self._functions.get(name)) is not None:
                return function(argument)
        evaluated = {name: self.value(each) for name, each in given.items()}
        return {name: each for name, each in evaluated.items() if each != _NOTHING}

    def holds(self, condition: Any) -> bool | None:
        """Return whether a condition holds; None if that is not known."""
        if isinstance(condition, str):
            return self.holds(self._conditions[condition])
        ((name, argument),) = condition.items()
        match name:
            case "Condition":
                return self.holds(argument)
            case "Fn::Not":
                holds = self.holds(argument[0])
                return None if holds is None else not holds
            case "Fn::And":
                each = [self.holds(one) for one in argument]
                return False if False in each else None if None in each else True
            case "Fn::Equals":
                left, right = map(self.value, argument)
                return None if isinstance(left, dict) or isinstance(right, dict) else str(left) == str(right)
        raise AssertionError(f"no condition: {condition}")

    def _ref(self, name: str) -> Any:
        return self._known.get(name, {"Ref": name})

    def _if(self, argument: list[Any]) -> Any:
        holds = self.holds(argument[0])
        if holds is None:
            return {"Fn::If": [argument[0], *map(self.value, argument[1:])]}
        return self.value(argument[1] if holds else argument[2])

    def _sub(self, argument: Any) -> Any:
        text, variables = (argument, {}) if isinstance(argument, str) else argument
        values = {**self._known, **{name: self.value(each) for name, each in variables.items()}}
        # A reference to a resource, and what is not known, is written as it would be without a mapping of its own.
        for name, each in values.items():
            text = text.replace(f"${{{name}}}", f"${{{each['Ref']}}}" if isinstance(each, dict) else str(each))
        return {"Fn::Sub": text} if re.search(r"\$\{", text) else text

    def _split(self, argument: list[Any]) -> Any:
        separator, text = argument[0], self.value(argument[1])
        return text.split(separator) if isinstance(text, str) else {"Fn::Split": [separator, text]}

    def _select(self, argument: list[Any]) -> Any:
        index, values = argument[0], self.value(argument[1])
        return values[int(index)] if isinstance(values, list) else {"Fn::Select": [index, values]}


def rendered(template: Template, known: Mapping[str, str]) -> dict[str, Any]:
    """Return the template's resources and outputs, by section, with the parameters `known`.

    Functions and conditions that depend on other parameters, or on resources, stay as they are.
    """
    evaluator = _Evaluator(template, known)
    resources = {
        name: evaluator.value(each)
        for name, each in template["Resources"].items()
        if "Condition" not in each or evaluator.holds(each["Condition"]) is not False
    }
    return {"Resources": resources, "Outputs": evaluator.value(template["Outputs"])}
