"""Tables of a schema file, read strictly: whatever is not understood is refused with its key and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import SchemaError


class Settings:
    """One table of a schema file: `source` names the file, `where` the table in it."""

    def __init__(self, source: str, where: str, table: Any) -> None:
        self._source, self._where = source, where
        if not isinstance(table, dict):
            raise SchemaError(source, where, "must be a table of settings")
        self._table: Mapping[str, Any] = table

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value of any kind."""
        return self._table.get(name, default)

    def wrong(self, name: str, reason: str) -> SchemaError:
        """Return the error for a key of this table; for the table itself if `name` is empty."""
        return SchemaError(self._source, f"{self._where}.{name}" if name else self._where, reason)

    def only(self, allowed: set[str]) -> None:
        """Refuse keys that are not known here."""
        for name in self._table:
            if name not in allowed:
                raise self.wrong(name, f"is not known; known here: {', '.join(sorted(allowed))}")

    def flag(self, name: str) -> bool:
        """Return true or false, which is the default."""
        value = self.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, f"must be true or false, not {value!r}")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of the choices, of which the first is the default."""
        value = self.get(name, choices[0])
        if value not in choices:
            raise self.wrong(name, f"must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}")
        return str(value)

    def count(self, name: str) -> int | None:
        """Return a whole number above 0, None if there is none."""
        value = self.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise self.wrong(name, f"must be a whole number above 0, not {value!r}")
        return value

    def texts(self, name: str, what: str) -> tuple[str, ...] | None:
        """Return a list of texts that are not blank, None if there is none."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
            raise self.wrong(name, f"must be a list of {what}, not {value!r}")
        return tuple(value)

    def text(self, name: str, most: int | None = None) -> str | None:
        """Return a text of at least one and at most that many characters, None if there is none."""
        value = self.get(name)
        if value is not None and (not isinstance(value, str) or not value or (most and len(value) > most)):
            what = "a text" if most is None else "one character" if most == 1 else f"a text of 1 to {most} characters"
            raise self.wrong(name, f"must be {what}, not {value!r}")
        return value
