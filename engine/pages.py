"""Items of Query and Scan -> pages of the API: JSON, without what has expired, bounded, and resumable. Pure.

A page ends at its number of items, or before the item with which it would be too large to be answered. It has at least
one item unless it was stopped early, so following the tokens always leads to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

import orjson

from engine.errors import BadRequest
from engine.queries import (
    Attributes,
    History,
    Ingestions,
    Listing,
    encode_cursor,
    encode_place,
    key_of,
    to_json,
)
from engine.schema.model import Schema

ENVELOPE_BYTES = 40_000
"""Part of a response that is not items: up to 25 KB for a token (a key of 3,072 bytes, as JSON in Base64), less than
1 KB for headers and field names."""


class Conditions(NamedTuple):
    """What applies to all items of an answer.

    `moment`: seconds since the epoch; what has expired by then is not answered. `max_bytes`: size of the response.
    """

    schema: Schema
    moment: int
    max_bytes: int

    @property
    def room(self) -> int:
        """The bytes that the items of a response may take."""
        return self.max_bytes - ENVELOPE_BYTES

    def is_expired(self, item: Attributes) -> bool:
        """Return whether an item's time to live is over. DynamoDB deletes it only hours or days later."""
        for name, kind in self.schema.generated.items():
            if kind == "expires_at" and (time := item.get(name, {}).get("N")) and Decimal(time) <= self.moment:
                return True
        return False


MAX_ESCAPE = 6
"""Most bytes in a response for one byte of a JSON document: a delete character, U+007F, is written as an escape."""


def wire_bytes(document: bytes) -> int:
    """Return the bytes that a JSON document takes inside a response.

    The response is JSON itself, in which the document is a string: quotes and backslashes take two bytes. Lambda's
    runtime client in a container image also escapes each character that is not ASCII, which takes 6 or 12.
    """
    return len(encode_basestring_ascii(document.decode())) - 2


def latest(items: Iterable[Attributes], conditions: Conditions) -> bytes | None:
    """Return the first item that has not expired as JSON; `BadRequest` if no response can hold it."""
    for item in items:
        if not conditions.is_expired(item):
            text = orjson.dumps(to_json(item, conditions.schema))
            room = conditions.room
            # Counted only where it matters: this is the hot path of the API.
            if len(text) * MAX_ESCAPE > room and (size := wire_bytes(text)) > room:
                raise _too_large(size, room)
            return text
    return None


def _too_large(size: int, room: int) -> BadRequest:
    """Return the error for an item that no page can hold.

    An item of 400 KB, which is DynamoDB's quota, always fits into Lambda's 6 MB, whatever has to be escaped. A load
    balancer's 1 MB can be too small for it.
    """
    what_to_do = "ask through API Gateway or a function URL, not through a load balancer"
    return BadRequest(500, f"an item takes {size:,} bytes, and a response here {room:,}: {what_to_do}")


class _Page:
    """A page that fills up: `items` as JSON, and the token with which the next page begins."""

    def __init__(self, conditions: Conditions, limit: int, start: Attributes | None) -> None:
        self._conditions, self._schema = conditions, conditions.schema
        self._limit, self._start = limit, start
        self._room = conditions.room
        self.items: list[bytes] = []
        self.cursor: str | None = None
        """Where the next page begins; None at the end."""

    @property
    def missing(self) -> int:
        """How many more items the page may have."""
        return self._limit - len(self.items)

    def _add(self, item: Attributes) -> bool:
        """Add an item if it fits, and return whether it did; `BadRequest` if it fits on no page."""
        text = orjson.dumps(to_json(item, self._schema))
        size = wire_bytes(text) + len(",")
        if size > self._room:
            if self.items:
                return False
            raise _too_large(size, self._room)
        self.items.append(text)
        self._room -= size
        return True

    def _end_after(self, key: Attributes | None, *, skip: bool = False) -> bool:
        """End the page so that the next one begins after `key`; False if this one began there.

        A page that got no further would make a list that never ends.
        """
        if key is None or key == self._start:
            return False
        self.cursor = encode_cursor(key, skip=skip)
        return True


class HistoryPage(_Page):
    """Versions of one partition key, newest first, from pages of a Query."""

    def __init__(self, request: History, conditions: Conditions) -> None:
        super().__init__(conditions, request.limit, request.start)
        self._at = request.start

    def feed(self, items: Iterable[Attributes], *, at_end: bool) -> bool:
        """Take a page of a Query; return whether this page is complete.

        It is not at its limit yet: only a further item shows that there is a next page.
        """
        for item in items:
            if not self._conditions.is_expired(item) and not (self.missing and self._add(item)):
                return self._end_after(self._at)
            self._at = key_of(item, self._schema)
        return at_end

    def stop(self) -> bool:
        """End the page early, so that the next one goes on here; False if it got no further than it began."""
        return self._end_after(self._at)


class ListPage(_Page):
    """Each partition key once, in its newest version, from pages of a Scan.

    A Scan returns the items of one partition key together, oldest first. A key's newest item is known only when the
    next key begins, or the table ends, wherever the pages are cut.
    """

    def __init__(self, request: Listing, conditions: Conditions) -> None:
        super().__init__(conditions, request.limit, request.start)
        self._partition_key = conditions.schema.partition_key
        # The partition that was listed last: further versions of it are skipped.
        self._listed = request.start[self._partition_key] if request.start and request.skip else None
        self._at = self._before = request.start  # the keys of the last item, and of the item before `_newest`
        self._newest: Attributes | None = None

    def feed(self, items: Iterable[Attributes], *, at_end: bool) -> bool:
        """Take a page of a Scan; return whether this page is complete."""
        for item in items:
            partition = item[self._partition_key]
            ended = self._newest is not None and self._newest[self._partition_key] != partition
            if ended and not (self._list_newest() and self.missing):
                return self.stop()
            if partition != self._listed and not self._conditions.is_expired(item):
                self._newest, self._before = item, self._at
            self._at = key_of(item, self._schema)
        if at_end and not self._list_newest():
            self.stop()
        return at_end

    def stop(self) -> bool:
        """End the page early, so that the next one goes on here; False if it got no further than it began."""
        key = self._at if self._newest is None else self._before
        return self._end_after(key, skip=key is not None and key[self._partition_key] == self._listed)

    def _list_newest(self) -> bool:
        """Add the newest version of the partition that has ended, if there is one and it fits."""
        if self._newest is None:
            return True
        if not self._add(self._newest):
            return False
        self._listed, self._newest = self._newest[self._partition_key], None
        return True


class IngestionsPage:
    """Documents of ingestions, newest first, that pass the filters of a request."""

    def __init__(self, request: Ingestions, max_bytes: int) -> None:
        self._request, self._room = request, max_bytes - ENVELOPE_BYTES
        self.limit = request.limit
        self._at = request.start
        self.items: list[bytes] = []
        self.cursor: str | None = None
        """Where the next page begins; None at the end."""

    def add(self, place: str, document: Mapping[str, Any]) -> bool:
        """Take the next ingestion; return False if the page is complete without it.

        It is not complete at its limit yet: only a further ingestion shows that there is a next page.
        """
        wanted = self._request
        if wanted.status in (None, document["status"]) and str(document["key"]).startswith(wanted.prefix):
            text = orjson.dumps(document)
            size = wire_bytes(text) + len(",")
            if len(self.items) == wanted.limit or (size > self._room and self.items):
                self.stop()
                return False
            self.items.append(text)
            self._room -= size
        self._at = place
        return True

    def stop(self) -> bool:
        """End the page early, so that the next one goes on here; False if it got no further than it began."""
        if self._at == self._request.start:
            return False
        self.cursor = encode_place(self._at) if self._at else None
        return True
