"""What many unit tests start from: two schemas, an object, and texts as they come in files."""

import hashlib
import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from engine.config import PACKAGED_SCHEMA
from engine.identity import ObjectVersion
from engine.messages.message import Message
from engine.schema.model import Schema
from engine.schema.parse import parse_schema

PRODUCTS_TOML = Path(__file__).parents[1] / "schemas" / "products.toml"

USERS = parse_schema(PACKAGED_SCHEMA.read_text("utf-8"), "users.toml")
PRODUCTS = parse_schema(PRODUCTS_TOML.read_text("utf-8"), "products.toml")

SOURCE = ObjectVersion("b", "uploads/users.csv", None, "0123abcd", 1_775_260_800)
PROCESSED_AT = "2026-04-04T00:00:01.234Z"

# What SQS lets through, as its documentation of SendMessage has it; everything else it refuses the whole message for.
LEGAL = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

# Every kind of character that some layer treats in its own way: JSON's escapes, what SQS refuses, what Unicode calls a
# line break, blanks that are no ASCII, characters of two to four bytes, letters whose lower case is longer.
ODD_CHARACTERS = 'a,"\\/ \t\x00\x01\x0b\x1c\x1f\x7f\x85\xa0é€\u2028\ufeff\ufffd\ufffe\uffff\U0001f600\U0001fffeİß'


def texts(max_size: int = 12, *, min_size: int = 0) -> st.SearchStrategy[str]:
    """Texts as a UTF-8 file may hold them: no lone surrogates, half of them of the odd characters."""
    # Not one alphabet of both: Hypothesis would make it one large range, in which the odd ones are lost.
    odd = st.text(st.sampled_from(ODD_CHARACTERS), min_size=min_size, max_size=max_size)
    return odd | st.text(st.characters(exclude_categories=["Cs"]), min_size=min_size, max_size=max_size)


def rows_of(message: Message) -> list[list[Any]]:
    """The rows of a message as its body has them: number, then values."""
    return [[number, *message.row(i)] for i, number in enumerate(message.numbers)]


def version_of(modified: int, row: int, ingestion: str = "") -> str:
    """The sort key of a row; without an ingestion as it was written before."""
    digits = str(int(hashlib.sha256(ingestion.encode()).hexdigest(), 16))[-10:] if ingestion else ""
    return f"{modified}.{row:012d}{digits}"


def schema_of(toml: str) -> Schema:
    """A schema from the middle of a file: `toml` goes behind the version and the collection."""
    return parse_schema(f'version = 1\ncollection = "things"\n{toml}', "things.toml")
