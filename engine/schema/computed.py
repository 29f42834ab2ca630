"""Computed attributes: text joined from the cleaned values of columns, as keys of a single-table design need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.schema.columns import Column
from engine.schema.values import Value


@dataclass(frozen=True, slots=True)
class Computed:
    """An attribute of type S made from the values of `columns` (their names): ``format % values``.

    `attribute` has the attribute's name and, if it is a key, the most bytes that its values may have.
    """

    attribute: Column
    format: str
    columns: tuple[str, ...]

    def values(self, parts: Sequence[Sequence[Value]], bad: dict[int, str]) -> Sequence[str]:
        """Join the values of its columns, a sequence of all rows for each; add ``index: reason`` for rejected rows."""
        texts: list[Sequence[Value]] = []
        for name, values in zip(self.columns, parts, strict=True):
            # A column's values are text, or else true and false, or where there is nothing None or NULL.
            if not all(values) or not set(map(type, values)) <= {str}:
                missing = [i for i, value in enumerate(values) if not isinstance(value, bool | str) or value == ""]
                reason = f"{self.attribute.name} needs {name}, which is empty"
                for i in missing:
                    bad.setdefault(i, reason)
                values = [str(value).lower() if isinstance(value, bool) else value for value in values]
            texts.append(values)
        joined = list(map(self.format.__mod__, zip(*texts, strict=True)))
        for i, reason in self.attribute.too_long_for_key(joined).items():
            bad.setdefault(i, reason)
        return joined


def parse_template(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the format and the column names of a template such as ``ORDER#{order_id}``; ``{{`` stands for a brace.

    Raises `ValueError` with what is wrong with it.
    """
    form, names = "", []
    rest = text
    while rest:
        if rest[:2] in ("{{", "}}"):
            form, rest = form + rest[0], rest[2:]
        elif rest[0] == "{":
            name, closed, rest = rest[1:].partition("}")
            if not closed or not name or "{" in name:
                raise ValueError("a brace { must begin a column's name that ends with }; a literal one is doubled")
            form += "%s"
            names.append(name)
        elif rest[0] == "}":
            raise ValueError("a brace } stands alone; a literal one is doubled")
        else:
            form, rest = form + ("%%" if rest[0] == "%" else rest[0]), rest[1:]
    if not names:
        raise ValueError("it names no column: what is the same in each item belongs in [constants]")
    return form, tuple(names)
