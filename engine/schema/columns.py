"""Cleaning values, a whole column at a time.

Each column of a block is trimmed, checked and converted by functions that run in C over all its values. Only a check
that fails looks at the values one by one, to find the rows. Working row by row costs three times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engine.decimal_text import canonical_number
from engine.exact_json import NumberText
from engine.schema.booleans import Booleans
from engine.schema.numbers import Numbers
from engine.schema.values import NESTED, TYPED, VARIES, Attribute, Conversion, Value

if TYPE_CHECKING:
    from engine.schema.patterns import Pattern

NO_VALUES: Final[frozenset[str]] = frozenset()

_PLAIN: Final[Mapping[str, Conversion]] = {"N": Numbers(), "BOOL": Booleans()}
"""Conversions of the types that need no settings. Text, type S, is stored as it is."""

_TEXTS: Final = {str, NumberText, type(None)}
"""What JSON values may be to be cleaned as texts, all at once."""

_NUMBERS: Final = {NumberText, int, float}
"""What JSON numbers may be."""

_NESTED = "is a JSON list or object, not a single value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: where its values come from, what they must be, and the attribute that they become.

    `type` is the DynamoDB type of its values. `place` counts from 1 and replaces the header's names in a CSV file;
    `path` replaces them in JSON lines. `null_values` are texts that mean "no value", trimmed and lower-cased like
    those; `empty` is what such a value becomes. `max_length` counts characters, `max_bytes` UTF-8 bytes (the quota of
    a key). `conversion` is that of the type unless there are settings for it.
    """

    name: str
    attribute: str
    aliases: tuple[str, ...] = ()
    place: int | None = None
    path: tuple[str, ...] = ()
    required: bool = False
    trim: bool = False
    lower: bool = False
    type: str = "S"
    null_values: frozenset[str] = NO_VALUES
    # Attribute values are not hashable.
    default: Value = field(default=None, hash=False)
    empty: Value = field(default=None, hash=False)
    max_length: int | None = None
    max_bytes: int | None = None
    pattern: Pattern | None = None
    conversion: Conversion | None = None

    @property
    def header_names(self) -> tuple[str, ...]:
        """The names that a header may use for it, case-folded for comparison; its attribute is always one of them."""
        return tuple(dict.fromkeys(name.strip().casefold() for name in self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a file may use for it, as the schema writes them."""
        return (self.name, self.attribute, *self.aliases)

    @property
    def is_plain(self) -> bool:
        """Return whether a cleaned value can be cleaned again and stays the same."""
        return self.conversion is None

    @property
    def is_nested(self) -> bool:
        """Return whether its values are lists, sets, or any JSON."""
        return self.type in NESTED

    @property
    def _conversion(self) -> Conversion | None:
        return self.conversion or _PLAIN.get(self.type)

    @property
    def _gap(self) -> Value:
        """What an empty value becomes."""
        return self.empty if self.default is None else self.default

    def clean(self, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        """Return the cleaned values of texts; add ``index: reason`` to `bad` for each that is rejected."""
        conversion = self._conversion
        if (
            conversion is not None
            and conversion.strict
            and not self.null_values
            and self.max_length is None
            and self.pattern is None
        ):
            # Mostly there is nothing to trim, and nothing else to check.
            if all(values):
                return self._converted(conversion, values, bad)
            if not self.required:
                return self._around_gaps(values, partial(self._converted, conversion), bad)
        return self._checked(values, bad)

    def _converted(self, conversion: Conversion, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        """Convert values as they are, and look closely only at those that are refused."""
        converted = conversion.convert(values)
        if None not in converted:
            return converted
        result = list(converted)
        odd = [i for i, value in enumerate(result) if value is None]
        found: dict[int, str] = {}
        for i, value in zip(odd, self._checked([values[i] for i in odd], found), strict=True):
            result[i] = value
        bad.update((odd[i], reason) for i, reason in found.items())
        return result

    def _checked(self, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        """Trim, check and convert values."""
        if self.trim or self.type != "S":
            values = list(map(str.strip, values))
        if self.lower:
            values = list(map(str.lower, values))
        if self.null_values and not self.null_values.isdisjoint(values):
            values = ["" if value in self.null_values else value for value in values]
        if not all(values):
            if self.required:
                bad.update((i, f"{self.name} is required, but empty") for i, value in enumerate(values) if not value)
            return self._around_gaps(values, self._full, bad)
        return self._full(values, bad)

    def clean_json(self, values: Sequence[Any], bad: dict[int, str]) -> Sequence[Value]:
        """Clean JSON values as `clean` cleans texts: text, numbers as `NumberText`, booleans, lists and objects.

        A number or a boolean is cleaned as its JSON text, except by a type that has values for it.
        """
        conversion = self._conversion
        takes_all = conversion is not None and conversion.type == VARIES
        kinds = set(map(type, values))
        if isinstance(self.conversion, Numbers) and not kinds.isdisjoint(_NUMBERS):
            return self._clean_numbers(values, bad)
        if not takes_all and kinds <= _TEXTS:
            plain = kinds == {str}
            return self.clean(values if plain else ["" if value is None else str(value) for value in values], bad)
        texts: dict[int, str] = {}
        result: list[Value] = [None] * len(values)
        for i, value in enumerate(values):
            if value is None or value == "" or (takes_all and self._is_null(value)):
                texts[i] = ""
            elif isinstance(value, dict | list) or takes_all:
                nested = None if conversion is None else conversion.nested(value)
                if nested == "":
                    texts[i] = ""
                elif nested is None:
                    bad[i] = f"{self.name} {_NESTED if conversion is None else conversion.reason(value)}"
                result[i] = nested
            else:
                texts[i] = str(value).lower() if isinstance(value, bool) else str(value)
        found: dict[int, str] = {}
        for i, cleaned in zip(texts, self.clean(list(texts.values()), found), strict=True):
            result[i] = cleaned
        places = list(texts)
        bad.update((places[i], reason) for i, reason in found.items())
        return result

    def clean_json_lines(self, values: Sequence[Any], bad: dict[int, str]) -> Sequence[Value]:
        """Clean values of JSON lines as `clean_json` does, but numbers that are read as text as their canonical text.

        The reader keeps the value of each number, not always its digits: 1E5 may have become 100000.0.
        """
        as_text = self.type != VARIES and not isinstance(self._conversion, Numbers)
        if as_text and not _NUMBERS.isdisjoint(map(type, values)):
            values = [
                canonical_number(text := str(each)) or text if type(each) in _NUMBERS else each for each in values
            ]
        return self.clean_json(values, bad)

    def _clean_numbers(self, values: Sequence[Any], bad: dict[int, str]) -> Sequence[Value]:
        """Clean JSON numbers as JSON writes them, and all other values in the declared form: 1.234 is not 1234."""
        result: list[Value] = [None] * len(values)
        for column, is_json in ((replace(self, conversion=None), True), (self, False)):
            places = [i for i, value in enumerate(values) if (type(value) in _NUMBERS) is is_json]
            found: dict[int, str] = {}
            for i, cleaned in zip(places, column.clean_json([values[i] for i in places], found), strict=True):
                result[i] = cleaned
            bad.update((places[i], reason) for i, reason in found.items())
        return result

    def clean_attributes(self, values: Sequence[Attribute | None], bad: dict[int, str]) -> Sequence[Value]:
        """Clean attribute values that DynamoDB wrote: they are kept as they are, and only their types are checked.

        None is no value. The values are valid attribute values.
        """
        result: list[Value] = [self._gap] * len(values)
        for i, value in enumerate(values):
            if value is None:
                if self.required:
                    bad[i] = f"{self.name} is required, but absent"
                continue
            ((type_, content),) = value.items()
            if type_ not in (self.type, "NULL") and self.type != VARIES:
                bad[i] = f"{self.name} is of the type {type_}, which is not that of the schema, {self.type}"
            elif self.required and (type_ == "NULL" or content == ""):
                bad[i] = f"{self.name} is required, but empty"
            elif type_ == "N":
                number = canonical_number(content)
                result[i] = {"N": number} if self.type == VARIES else number
                if number is None:
                    bad[i] = f"{self.name} is not a number that DynamoDB can hold"
            else:
                result[i] = content if type_ in TYPED and self.type != VARIES else value
        texts = [value if isinstance(value, str) else "" for value in result]
        for i, reason in self.too_long_for_key(texts).items():
            bad.setdefault(i, reason)
        return result

    def _is_null(self, value: Any) -> bool:
        return isinstance(value, str) and value.strip() in self.null_values

    def too_long_for_key(self, values: Sequence[str]) -> dict[int, str]:
        """Return ``index: reason`` for each value that is longer than a key may be."""
        # A character has at most 4 bytes, so only values near the limit have to be encoded to be measured.
        if self.max_bytes is None or max(map(len, values), default=0) * 4 <= self.max_bytes:
            return {}
        reason = f"{self.name} is longer than {self.max_bytes:,} bytes, the limit for a key"
        return {i: reason for i, value in enumerate(values) if len(value.encode()) > self.max_bytes}

    def _around_gaps(
        self,
        values: Sequence[str],
        clean: Callable[[Sequence[str], dict[int, str]], Sequence[Value]],
        bad: dict[int, str],
    ) -> Sequence[Value]:
        """Clean the values that are not empty by `clean`; return them, and what the empty ones become."""
        found: dict[int, str] = {}
        gap, following = self._gap, iter(clean(list(filter(None, values)), found)).__next__
        if found:
            present = [i for i, value in enumerate(values) if value]
            bad.update((present[i], reason) for i, reason in found.items())
        return [following() if value else gap for value in values]

    def _full(self, values: Sequence[str], bad: dict[int, str]) -> Sequence[Value]:
        if self.max_length is not None and max(map(len, values), default=0) > self.max_length:
            reason = f"{self.name} is longer than {self.max_length:,} characters"
            bad.update((i, reason) for i, value in enumerate(values) if len(value) > self.max_length)
        for i, reason in self.too_long_for_key(values).items():
            bad.setdefault(i, reason)
        if self.pattern is not None:
            reason = f"{self.name} does not match the pattern"
            bad.update((i, reason) for i in self.pattern.misfits(values) if i not in bad)
        conversion = self._conversion
        if conversion is None:
            return values
        converted = conversion.convert(values)
        if None in converted:
            misfits = [i for i, value in enumerate(converted) if value is None]
            bad.update((i, f"{self.name} {conversion.reason(values[i])}") for i in misfits if i not in bad)
        return converted
