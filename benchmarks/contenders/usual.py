"""The usual Python ways: boto3's batch_writer, boto3 in threads, Powertools' BatchProcessor with boto3.

Settings that help, for all of them: parameter validation off, one client kept for the life of the process, connection
pool as large as the number of threads, retries left at what boto3 does. They get packed messages as Millpond does, so
that each call holds 25 items (batch_writer cuts by itself) where the usual one-row messages would fill 10.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import islice
from typing import Any

from benchmarks.contenders.window import Context, Inside, Spec, measure, read_json, read_spec, settle_collector

THREADS = 32


def _config(connections: int = 10) -> Any:
    from botocore.config import Config

    return Config(parameter_validation=False, max_pool_connections=connections, tcp_keepalive=True)


def rows_of(body: str) -> Iterator[tuple[str, list[Any], str]]:
    """Return (version, [name, mail, phone], processedAt) for each row of a message, packed or plain."""
    document = json.loads(body)
    if "rows" in document:
        modified, processed = document["object"]["modified"], document["processedAt"]
        for number, *values in document["rows"]:
            yield f"{modified}.{number:012d}", values, processed
    else:
        values = [document["name"], document["mail"], document["phone"]]
        yield f"1775260800.{document['rowNumber']:012d}", values, document["processedAt"]


def items_of(body: str) -> Iterator[dict[str, Any]]:
    """Return the items as boto3's resource wants them: Python values."""
    for version, (name, mail, phone), processed in rows_of(body):
        yield {"name": name, "email": mail, "phone": phone, "processedAt": processed, "createdAt": Decimal(version)}


def batch_writer(spec: Spec) -> Callable[[Any], None]:
    """Return a worker with boto3's batch_writer."""
    import boto3

    table = boto3.resource("dynamodb", config=_config()).Table(os.environ["TABLE_NAME"])

    def handler(event: Any) -> None:
        with table.batch_writer() as writer:
            for record in event["Records"]:
                for item in items_of(record["body"]):
                    writer.put_item(Item=item)

    return handler


def threads(spec: Spec) -> Callable[[Any], None]:
    """Return a worker with boto3's client in 32 threads; items are made in DynamoDB's form, past the resource."""
    import boto3

    client = boto3.client("dynamodb", config=_config(THREADS))
    pool = ThreadPoolExecutor(THREADS)
    table = os.environ["TABLE_NAME"]

    def requests(event: Any) -> Iterator[dict[str, Any]]:
        for record in event["Records"]:
            for version, (name, mail, phone), processed in rows_of(record["body"]):
                item = {
                    "name": {"S": name},
                    "email": {"S": mail},
                    "phone": {"S": phone},
                    "processedAt": {"S": processed},
                    "createdAt": {"N": version},
                }
                yield {"PutRequest": {"Item": item}}

    def write(batch: list[dict[str, Any]]) -> None:
        pending = {table: batch}
        while pending:
            pending = client.batch_write_item(RequestItems=pending).get("UnprocessedItems")

    def handler(event: Any) -> None:
        rest = requests(event)
        for _ in pool.map(write, iter(lambda: list(islice(rest, 25)), [])):
            pass

    return handler


def powertools(spec: Spec) -> Callable[[Any], None]:
    """Return a worker with Powertools' BatchProcessor, whose record handler uses a batch_writer for its message."""
    import boto3
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

    table = boto3.resource("dynamodb", config=_config()).Table(os.environ["TABLE_NAME"])
    processor = BatchProcessor(event_type=EventType.SQS)
    context: Any = Context()

    def record_handler(record: Any) -> None:
        with table.batch_writer() as writer:
            for item in items_of(record.body):
                writer.put_item(Item=item)

    def handler(event: Any) -> None:
        answer = process_partial_response(event, record_handler, processor, context)
        if answer["batchItemFailures"]:
            raise RuntimeError(f"not all was written: {answer}")

    return handler


def producer(spec: Spec) -> Callable[[Any], int]:
    """Return a producer with boto3: rows by csv.DictReader, one message a row, SendMessageBatch with 10 of them."""
    import boto3

    s3, sqs = boto3.client("s3", config=_config()), boto3.client("sqs", config=_config())
    url = os.environ["QUEUE_URL"]

    def handler(event: Any) -> int:
        sent = 0
        for record in event["Records"]:
            about = record["s3"]
            reply = s3.get_object(Bucket=about["bucket"]["name"], Key=about["object"]["key"])
            reader = csv.DictReader(io.TextIOWrapper(io.BufferedReader(reply["Body"], 262_144), encoding="utf-8"))
            numbered = enumerate(reader, 1)
            while batch := list(islice(numbered, 10)):
                entries = [
                    {"Id": str(i), "MessageBody": json.dumps({**row, "rowNumber": number, "processedAt": ""})}
                    for i, (number, row) in enumerate(batch)
                ]
                if sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed"):
                    raise RuntimeError("not all was sent")
                sent += len(batch)
        return sent

    return handler


def query(spec: Spec) -> Callable[[Any], int]:
    """Return a query function with boto3's resource: the newest item of one user."""
    import boto3
    from boto3.dynamodb.conditions import Key

    table = boto3.resource("dynamodb", config=_config()).Table(os.environ["TABLE_NAME"])

    def handler(event: Any) -> int:
        email = event["pathParameters"]["email"]
        found = table.query(KeyConditionExpression=Key("email").eq(email), ScanIndexForward=False, Limit=1)["Items"]
        json.dumps({"statusCode": 200, "body": json.dumps(found[0], default=str)})
        return 1

    return handler


WORKERS = {"batch_writer": batch_writer, "threads": threads, "powertools": powertools}


def main() -> None:
    """Do the task; a worker's kind is named by ``way``."""
    settle_collector()
    spec = read_spec()
    event, task = read_json(spec["event"]), spec["task"]
    if task == "work":
        worker, records = WORKERS[spec["way"]](spec), spec["records_per_call"]

        def once() -> int:
            worker(event)
            return int(records)

        measure(spec, once)
    elif task == "chain":
        from benchmarks.contenders.poller import drain

        inside = Inside()
        first, second = producer(spec), WORKERS[spec["way"]](spec)

        def through() -> int:
            inside.time(lambda: first(event))
            return drain(lambda batch: inside.time(lambda: second(batch)))

        measure(spec, through, inside)
    else:
        handler = {"produce": producer, "query": query}[task](spec)
        measure(spec, lambda: handler(event))


if __name__ == "__main__":
    main()
