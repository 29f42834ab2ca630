"""The parts of the work alone, nothing sent: Millpond's, and what the usual libraries do at the same place.

A way is named ``part.who``; each returns a call and how many things it does.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.contenders.window import Spec, measure, read_json, read_spec, settle_collector

CHUNK_BYTES = 262_144
DATE = "20260404T000001Z"
Call = Callable[[], int]


def sign_millpond(spec: Spec) -> Call:
    """Sign by `engine.aws.sign`."""
    from engine.aws.sign import Credentials, Signer

    body, credentials = _batch_body(), Credentials("bench", "bench-secret")
    signer = Signer(
        "dynamodb",
        "us-east-1",
        "127.0.0.1:8000",
        "application/x-amz-json-1.0",
        "DynamoDB_20120810.BatchWriteItem",
    )

    def once() -> int:
        for _ in range(1_000):
            signer.headers(body, credentials, DATE)
        return 1_000

    return once


def sign_botocore(spec: Spec) -> Call:
    """Sign by botocore's signer, which boto3, aioboto3 and Powertools share."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = _batch_body()
    auth = SigV4Auth(Credentials("bench", "bench-secret"), "dynamodb", "us-east-1")
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem"}

    def once() -> int:
        for _ in range(100):
            auth.add_auth(AWSRequest("POST", "http://127.0.0.1:8000/", headers=headers, data=body))
        return 100

    return once


def _batch_body() -> bytes:
    puts = [{"PutRequest": {"Item": _item(number, *data.row(number))}} for number in range(1, 26)]
    return json.dumps({"RequestItems": {data.TABLE: puts}}, separators=(",", ":"), ensure_ascii=False).encode()


def _item(number: int, name: str, mail: str, phone: str) -> dict[str, Any]:
    fields = {"name": name, "email": mail, "phone": phone, "processedAt": "2026-04-04T00:00:01.234Z"}
    return {**{key: {"S": text} for key, text in fields.items()}, "createdAt": {"N": f"{data.MODIFIED}.{number:012d}"}}


def _chunks(spec: Spec) -> list[bytes]:
    content = Path(spec["content"]).read_bytes()
    return [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]


def parse_millpond(spec: Spec) -> Call:
    """Bytes to rows, with row numbers and offsets, by `engine.reading.delimited`."""
    from engine.reading.delimited import CsvReader

    chunks = _chunks(spec)

    def once() -> int:
        reader = CsvReader()
        rows = sum(len(block.rows) for chunk in chunks for block in reader.feed(chunk))
        return rows + sum(len(block.rows) for block in reader.finish())

    return once


def parse_dictreader(spec: Spec) -> Call:
    """Bytes to dicts by csv.DictReader over a text stream, the usual way."""
    content = b"".join(_chunks(spec))

    def once() -> int:
        return sum(1 for _ in csv.DictReader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")))

    return once


def parse_reader(spec: Spec) -> Call:
    """Bytes to lists by csv.reader on the whole text at once, all of it in memory."""
    content = b"".join(_chunks(spec))

    def once() -> int:
        return len(list(csv.reader(content.decode().splitlines(keepends=True)))) - 1

    return once


def pack_millpond(spec: Spec) -> Call:
    """Bytes to packed messages: parsed, checked, cleaned, packed, by `engine.convert`."""
    return _converting(spec, 500)


def pack_millpond_plain(spec: Spec) -> Call:
    """Bytes to plain messages, one a row, by `engine.convert`."""
    return _converting(spec, 1)


def _converting(spec: Spec, records_per_message: int) -> Call:
    from engine.config import PACKAGED_SCHEMA
    from engine.convert import Converter
    from engine.identity import ObjectVersion
    from engine.schema.parse import parse_schema

    chunks = _chunks(spec)
    schema = parse_schema(PACKAGED_SCHEMA.read_text(encoding="utf-8"), "users")
    source = ObjectVersion("bench", "uploads/users.csv", None, "0123456789abcdef", data.MODIFIED)

    def once() -> int:
        converter = Converter(source, schema, records_per_message=records_per_message, max_message_bytes=61_440)
        valid = 0
        for chunk in chunks:
            for converted in converter.feed(chunk, "2026-04-04T00:00:01.234Z"):
                valid += converted.valid
        return valid + sum(converted.valid for converted in converter.finish("2026-04-04T00:00:01.234Z"))

    return once


def pack_json(spec: Spec) -> Call:
    """Bytes to one JSON text a row, nothing checked, by csv.DictReader and json.dumps."""
    content = b"".join(_chunks(spec))

    def once() -> int:
        reader = csv.DictReader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
        return sum(1 for number, row in enumerate(reader, 1) if json.dumps({**row, "rowNumber": number}))

    return once


def encode_millpond(spec: Spec) -> Call:
    """Message bodies to bodies of BatchWriteItem: parsed, checked, items and batches made, by the engine."""
    from engine.config import PACKAGED_SCHEMA
    from engine.items import Items, batch_body, batches
    from engine.messages.message import Refused
    from engine.messages.parse import parse_message
    from engine.schema.parse import parse_schema

    schema = parse_schema(PACKAGED_SCHEMA.read_text(encoding="utf-8"), "users")
    records = read_json(spec["event"])["Records"]

    def once() -> int:
        items = Items(schema)
        for record in records:
            message = parse_message(record["body"], {}, record["messageId"], 0, schema)
            if isinstance(message, Refused):
                raise TypeError(message.reason)
            items.add(message)
        for wave in items.waves():
            for batch in batches(wave):
                batch_body("users", items.text(batch))
        return len(items)

    return once


def encode_boto3(spec: Spec) -> Call:
    """Message bodies to bodies of BatchWriteItem as boto3 makes them: TypeSerializer, botocore's serializer."""
    import botocore.session
    from boto3.dynamodb.types import TypeSerializer
    from botocore.serialize import create_serializer

    from benchmarks.contenders.usual import items_of

    model = botocore.session.get_session().get_service_model("dynamodb").operation_model("BatchWriteItem")
    serializer = create_serializer("json", include_validation=False)
    values = TypeSerializer()
    records = read_json(spec["event"])["Records"]

    def once() -> int:
        count = 0
        for record in records:
            puts = [
                {"PutRequest": {"Item": {key: values.serialize(value) for key, value in item.items()}}}
                for item in items_of(record["body"])
            ]
            count += len(puts)
            for at in range(0, len(puts), 25):
                serializer.serialize_to_request({"RequestItems": {"users": puts[at : at + 25]}}, model)
        return count

    return once


def convert_format(spec: Spec) -> Call:
    """Bytes of one kind of file to packed messages."""
    from benchmarks.contenders.formats import converting

    return converting(spec["way"].removeprefix("formats."))


def scan_range(spec: Spec) -> Call:
    """A range of one kind of file to the places of its records."""
    from benchmarks.contenders.scans import scanning

    return scanning(spec["way"].removeprefix("scan."))


WAYS = {
    "sign.millpond": sign_millpond,
    "sign.botocore": sign_botocore,
    "parse.millpond": parse_millpond,
    "parse.dictreader": parse_dictreader,
    "parse.reader": parse_reader,
    "pack.millpond": pack_millpond,
    "pack.millpond_plain": pack_millpond_plain,
    "pack.json": pack_json,
    "encode.millpond": encode_millpond,
    "encode.boto3": encode_boto3,
}


def main() -> None:
    """Do the part that ``way`` names."""
    settle_collector()
    spec = read_spec()
    way = spec["way"]
    kinds = {"formats": convert_format, "scan": scan_range}
    measure(spec, (kinds.get(way.partition(".")[0]) or WAYS[way])(spec))


if __name__ == "__main__":
    main()
