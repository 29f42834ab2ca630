"""The [format] table of a schema: what it may hold, and what is refused with the key and the reason."""

import pytest

from engine.errors import SchemaError
from engine.reading.format import Format
from engine.schema.parse import parse_schema

SCHEMA = """version = 1
collection = "things"
[format]
{}
[key]
partition = "id"
[columns.id]
required = true
"""


def format_of(text: str) -> Format:
    return parse_schema(SCHEMA.format(text), "things.toml").format


def test_everything_is_found_unless_it_is_declared() -> None:
    assert format_of("") == Format()
    assert parse_schema(SCHEMA.format("").replace("[format]\n", ""), "things.toml").format == Format()


def test_each_key_is_read() -> None:
    text = """type = "csv"
    compression = "gzip"
    encoding = "Latin-1"
    delimiter = "^"
    quote = "none"
    escape = "backslash"
    comment = "//"
    skip_lines = 3
    header_lines = 0
    names = ["id", ""]
    multiline = false
    short_rows = "pad"
    """
    assert format_of(text) == Format(
        type="csv",
        compression="gzip",
        encoding="iso8859-1",
        delimiter="^",
        quote="none",
        escape="backslash",
        comment="//",
        skip_lines=3,
        header_lines=0,
        names=("id", ""),
        multiline=False,
        short_rows="pad",
    )


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("delimeter = ';'", "delimeter", "is not known; known here: comment, compression, delimiter,"),
        ("type = 'xml'", "type", "must be one of csv, jsonl, dynamodb-json, not 'xml'"),
        ("type = []", "type", "must be one of csv, jsonl, dynamodb-json, not []"),
        ("compression = 'zip'", "compression", "must be one of none, gzip, zstd, bzip2, not 'zip'"),
        ("encoding = 'latin-99'", "encoding", "must be a text encoding that Python knows, not 'latin-99'"),
        ("encoding = 'base64'", "encoding", "must be a text encoding that Python knows"),
        ("encoding = 8", "encoding", "must be a text encoding that Python knows"),
        ("encoding = ''", "encoding", "must be a text encoding that Python knows"),
        ('delimiter = "::"', "delimiter", "must be one character, not '::'"),
        ('delimiter = "\\n"', "delimiter", "must be one character"),
        ('quote = ""', "quote", 'must be one character, or "none", not'),
        ('quote = " "', "quote", "must not be a blank"),
        ("escape = '\\'", "escape", "must be one of double, backslash"),
        ("comment = ''", "comment", "must be the text that such lines begin with"),
        ("skip_lines = -1", "skip_lines", "must be a whole number from 0 to 1,000, not -1"),
        ("header_lines = true", "header_lines", "must be a whole number from 0 to 1,000, not True"),
        ("header_lines = 0", "names", "must list the columns' names, since header_lines = 0"),
        ("names = []", "names", "must be a list of the columns' names in order"),
        ("names = 'id'", "names", "must be a list of the columns' names in order"),
        ("multiline = 1", "multiline", "must be true or false, not 1"),
        ("short_rows = 'fill'", "short_rows", "must be one of reject, pad, not 'fill'"),
        ("delimiter = '|'\nquote = '|'", "quote", "must not begin like the delimiter"),
        ("delimiter = '#'\ncomment = '#!'", "comment", "must not begin like the delimiter"),
        ("escape = 'backslash'\nquote = '\\'", "quote", "must not begin like the escape character"),
    ],
)
def test_what_is_invalid_is_refused(text: str, key: str, reason: str) -> None:
    with pytest.raises(SchemaError) as caught:
        format_of(text)
    assert caught.value.key == f"format.{key}"
    assert reason in caught.value.reason


def test_format_that_is_no_table_is_refused() -> None:
    with pytest.raises(SchemaError, match="format: must be a table of settings"):
        parse_schema(SCHEMA.format("").replace("[format]", 'format = "csv"'), "things.toml")
