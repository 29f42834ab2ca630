"""A file of any format and compression, cut anywhere -> messages and rejects, as the producer makes them."""

import bz2
import gzip
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.convert import Converter
from engine.errors import BadFile
from engine.messages.message import Message, Outgoing
from engine.messages.parse import parse_message
from engine.reading.block import Reject
from engine.reading.format import COMPRESSIONS, FIND_ALL, NO_QUOTE, TYPES, Format
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.schema.model import Schema
from tests.builders.csv_text import cut
from tests.builders.samples import ORDERS, PROCESSED_AT, PRODUCTS, SOURCE, USERS, schema_of
from tests.fuzz.source import Source, seed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST = 3_000
"""Bytes of a file: enough for all that the limits below cut."""

SCHEMAS = (
    USERS,
    PRODUCTS,
    ORDERS,
    schema_of(
        'unknown_columns = "store"\n[key]\npartition = "id"\n[columns.id]\nrequired = true\n[columns.n]\ntype = "N"'
    ),
)
FORMATS = (
    FIND_ALL,
    *(Format(type=each) for each in TYPES),
    *(Format(delimiter=each) for each in ",;\t|"),
    Format(quote=NO_QUOTE, escape="backslash"),
    Format(quote="'", multiline=True),
    Format(multiline=False, comment="#", skip_lines=1),
    Format(encoding="utf-16-le"),
    Format(encoding="cp1252", header_lines=2),
    Format(encoding="shift_jis"),
    Format(names=("name", "email", "phone"), short_rows="pad"),
    *(Format(compression=each) for each in COMPRESSIONS),
)
LIMITS = (USUAL_LIMITS, Limits(64, 16, 0, 64, 1), Limits(20, 40, 6, 0, 0), Limits(400, 100))
PACKINGS = ((500, 61_440), (1, 61_440), (3, 700), (2, 400))
WRITERS: tuple[Callable[[bytes], bytes], ...] = (bytes, bytes, gzip.compress, zstd.compress, bz2.compress)

_FILES = (
    b'name,email,phone\nJohn Doe,john@gmail.com,9876543210\n"a, ""b""\nc",x@y,\n,,\n',
    b"sku;price;stock\r\nA-1;1.5;2\r\nA-2;x;3\r\n",
    b"order_id\tsku\tquantity\n1\ta\t2\n",
    b'{"name":"a","email":"b","phone":null}\n{"name":1.50,"email":true,"x":[1,{"y":"z"}]}\n\n{"a"\n',
    b'{"Item":{"id":{"S":"x"},"n":{"N":"1.5"},"l":{"L":[{"BOOL":true},{"NULL":true}]},"b":{"B":"YQ=="}}}\n',
    "\ufeffname,email\nZoë,ü@x\n".encode(),
    "name,email\nZoë,ü@x\n".encode("utf-16"),
    b'# a comment\nname|email|phone\na|b|c\\|d\n"q|r|s\n',
)
SEEDS = [
    *map(seed, _FILES),
    *(seed(write(each)) for each in _FILES[:2] for write in (gzip.compress, zstd.compress, bz2.compress)),
]
TOKENS = [
    *(b'"', b'""', b'",', b'\n"', b"\r\n", b"\r", b"\\", b"\\\"", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"name", b"email", b"sku", b"price", b"id", b'{"', b'":', b"},", b"{}", b"[]", b"null", b"1e400", b'"\\ud800"'),
    *(b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9", b"PK\x03\x04", b'{"Item":{', b'{"S":"', b'{"N":"', b'{"M":{', b"#"),
]  # fmt: skip


def check(data: bytes) -> None:
    """The result does not depend on the cuts, every row is in a message or a reject, and messages can be read."""
    source = Source(data)
    schema = replace(source.pick(SCHEMAS), format=source.pick(FORMATS))
    limits, packing = source.pick(LIMITS), source.pick(PACKINGS)
    sizes, write = source.sizes(), source.pick(WRITERS)
    file = write(source.rest(MOST))
    whole = _converted([file], schema, limits, packing)
    assert whole == _converted(cut(file, sizes), schema, limits, packing), "the result depends on the cuts"
    if whole is None:
        return
    messages, rejects = whole
    numbers = [reject.row for reject in rejects]
    for message in messages:
        assert message.size <= packing[1]
        read = _received(message, schema)
        assert isinstance(read, Message), "a message of the producer is refused by the worker"
        assert len(read.numbers) == message.records
        numbers += read.numbers
    assert sorted(numbers) == list(range(1, len(numbers) + 1)), "a row is missing, or twice"


def _converted(
    chunks: Iterable[bytes], schema: Schema, limits: Limits, packing: tuple[int, int]
) -> tuple[list[Outgoing], list[Reject]] | None:
    """Messages and rejects, or None for a file that is refused."""
    converter = Converter(SOURCE, schema, records_per_message=packing[0], max_message_bytes=packing[1], limits=limits)
    messages: list[Outgoing] = []
    rejects: list[Reject] = []
    valid = 0
    try:
        for chunk in [*chunks, None]:
            steps = converter.finish(PROCESSED_AT) if chunk is None else converter.feed(chunk, PROCESSED_AT)
            for step in steps:
                valid += step.valid
                messages += step.messages
                rejects += step.rejects
    except BadFile as error:
        assert "\n" not in str(error)
        return None
    assert valid == sum(message.records for message in messages)
    return messages, rejects


def _received(message: Outgoing, schema: Schema) -> object:
    attributes = {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in message.attributes.items()
    }
    return parse_message(message.body.decode(), attributes, "id", 5, schema)
