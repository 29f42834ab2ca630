"""A table of one item for each key, which keeps the highest version: articles and their prices."""

from collections.abc import Sequence

from engine.items import Items
from engine.messages.message import Message
from tests.builders.messages import MODIFIED, Json, items_of, packed, received
from tests.builders.samples import schema_of

NEWEST_TOML = """version = 1
collection = "articles"
conflict = "newest"
[key]
partition = "sku"
[columns.sku]
required = true
[columns.price]
type = "N"
[generated]
version = "version"
"""
NEWEST = schema_of(NEWEST_TOML.partition("\n")[2].partition("\n")[2])
COLUMNS = ("sku", "price")

Article = tuple[int, str, str]
"""Row number, key and price."""


def article_message(rows: Sequence[Article], *, modified: int = MODIFIED, number: int = 0) -> Json:
    """A packed message of these rows, of the object of that time."""
    return packed(rows, columns=COLUMNS, modified=modified, number=number)


def article_of(rows: Sequence[Article], *, modified: int = MODIFIED) -> Message:
    """Such a message as the worker reads it."""
    return received(rows, COLUMNS, schema=NEWEST, modified=modified)


def article_items(*uploads: Sequence[Article]) -> Items:
    """The items of one message for each upload, the first one the latest."""
    messages = [article_of(rows, modified=MODIFIED + len(uploads) - i) for i, rows in enumerate(uploads)]
    return items_of(*messages, schema=NEWEST)


def articles(count: int, *, start: int = 1, price: str = "1", key: str = "A-{}") -> list[Article]:
    """Rows with keys of their own, from that row number on."""
    return [(row, key.format(row), price) for row in range(start, start + count)]
