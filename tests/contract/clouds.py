"""A place where the services answer, with AWS's own clients to look at it from outside."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.emulators import dynamodb_local, localstack
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.queues import Queue

EVERYTHING = frozenset({"s3", "sqs", "dynamodb", "iam", "sts"})

PLACES = {
    "moto": EVERYTHING,
    "ministack": EVERYTHING,
    "dynamodb_local": frozenset({"dynamodb"}),
    "localstack": frozenset({"s3", "sqs", "dynamodb"}),
    "stand_in": frozenset({"dynamodb", "sqs"}),
    "stand_in_s3": frozenset({"s3"}),
}
"""Where contract tests run, and the services that are there. A test runs at each place that has what it uses."""

EMULATORS = {"dynamodb_local": dynamodb_local.check, "localstack": localstack.check}
"""The places that not every machine can run: their names are also markers. The functions raise `Unavailable`."""


def places(test: pytest.Function) -> Iterator[Any]:
    """The places for one test, as parameters; see the markers `uses` and `gaps` in pyproject.toml."""
    uses = test.get_closest_marker("uses")
    gaps = test.get_closest_marker("gaps")
    for place, services in PLACES.items():
        if not services.issuperset(uses.args if uses else EVERYTHING):
            continue
        marks = [getattr(pytest.mark, place)] if place in EMULATORS else []
        if gaps and place in gaps.kwargs:
            marks.append(pytest.mark.xfail(reason=gaps.kwargs[place], strict=True))
        yield pytest.param(place, marks=marks)


class Cloud:
    """One endpoint. What is made here has names of its own, so that tests need not be kept apart otherwise."""

    def __init__(self, name: str, endpoint: str) -> None:
        """Make clients, which neither check their parameters nor try twice."""
        self.name, self.endpoint = name, endpoint
        config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        self.s3, self.sqs, self.dynamodb, self.iam, self.sts = (
            boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", config=config)
            for service in ("s3", "sqs", "dynamodb", "iam", "sts")
        )

    def close(self) -> None:
        """Close the clients' connections."""
        for client in (self.s3, self.sqs, self.dynamodb, self.iam, self.sts):
            client.close()

    @contextmanager
    def environment(self) -> Iterator[None]:
        """The settings of a process whose services are here."""
        with pytest.MonkeyPatch.context() as env:
            env.setenv("AWS_ENDPOINT_URL", self.endpoint)
            yield

    def bucket(self, *, versioned: bool = False) -> str:
        """A new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=name)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def put(self, bucket: str, key: str, body: bytes) -> Any:
        """Put an object; returns S3's reply."""
        return self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def keys(self, bucket: str) -> list[str]:
        """The keys in a bucket, in order."""
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def body(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def queue(self) -> str:
        """The URL of a new queue."""
        url: str = self.sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:12]}")["QueueUrl"]
        return url

    def receive_all(self, queue_url: str) -> list[Any]:
        """Take every message out of a queue, in no particular order."""
        messages: list[Any] = []
        while True:
            reply = self.sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            got = reply.get("Messages", [])
            if not got:
                return messages
            messages += got
            entries = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(got)]
            self.sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)

    def table(self, keys: Mapping[str, str] | None = None) -> str:
        """The name of a new table: hash key and perhaps range key with their types; by default the users table."""
        keys = keys or {"email": "S", "createdAt": "N"}
        name = f"table-{uuid.uuid4().hex[:12]}"
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_} for key, type_ in keys.items()],
        )
        return name

    def items(self, table: str) -> list[Any]:
        """Every item of a table, in an order that depends on the content alone."""
        items: list[Any] = []
        more: dict[str, Any] = {}
        while True:
            reply = self.dynamodb.scan(TableName=table, **more)
            items += reply["Items"]
            if "LastEvaluatedKey" not in reply:
                return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
            more = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}


class StandIn(Cloud):
    """The stand-in that the other tests use: it is held to the same contract as what others have made."""

    def __init__(self, server: FaultServer) -> None:
        """Make clients of a running server."""
        super().__init__("stand_in", server.endpoint)
        self._server = server

    def queue(self) -> str:
        """The URL of a new queue."""
        name = f"queue-{uuid.uuid4().hex[:12]}"
        self._server.queues[name] = Queue()
        return self._server.queue_url(name)

    def table(self, keys: Mapping[str, str] | None = None) -> str:
        """The name of a new table."""
        name = f"table-{uuid.uuid4().hex[:12]}"
        self._server.tables[name] = Table(keys or {"email": "S", "createdAt": "N"})
        return name


class StandInS3(Cloud):
    """The stand-in for S3."""

    def __init__(self, server: ObjectServer) -> None:
        """Make clients of a running server."""
        super().__init__("stand_in_s3", server.endpoint)
        self._server = server

    def bucket(self, *, versioned: bool = False) -> str:
        """A new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self._server.make_bucket(name, versioned=versioned)
        return name

    def keys(self, bucket: str) -> list[str]:
        """The keys in a bucket, in order."""
        return sorted(key for name, key in self._server.objects if name == bucket)


def same_numbers(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The item with its numbers as numbers: DynamoDB keeps the value, not how it was written."""
    return {name: Decimal(value["N"]) if "N" in value else value for name, value in item.items()}
