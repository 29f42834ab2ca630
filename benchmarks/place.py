"""A real place to measure: an emulator or AWS itself, with clients, and tables, queues and buckets for one run each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.model import Json
from benchmarks.processes import environment

REFUSALS = (BotoCoreError, ClientError)
"""What botocore raises: the place does not answer, or says no."""

READ_TIMEOUT = 20.0
"""Seconds to wait for the answer to one request of ours; a contender's requests have the limits of its own client."""


class NoCredentials(Exception):
    """AWS itself is to be measured and there are no credentials for it."""


class Place:
    """An endpoint with clients. It is used like a stand-in (`benchmarks.processes.Target`), but counts nothing."""

    def __init__(self, url: str) -> None:
        """Make clients for `url`; empty: AWS itself. Raises `NoCredentials`."""
        self.url = url
        session = boto3.Session()
        found = session.get_credentials()
        if found is None and not url:
            raise NoCredentials(
                "No AWS credentials found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            )
        frozen = found.get_frozen_credentials() if found else None
        self.credentials = (
            Credentials(frozen.access_key, frozen.secret_key, frozen.token) if frozen else Credentials("test", "test")
        )
        self.region: str = session.region_name or "us-east-1"
        self.s3, self.sqs, self.dynamodb = (
            boto3.client(
                service,
                endpoint_url=url or None,
                region_name=self.region,
                aws_access_key_id=self.credentials.access_key,
                aws_secret_access_key=self.credentials.secret_key,
                aws_session_token=self.credentials.token,
                config=Config(
                    connect_timeout=5,
                    read_timeout=READ_TIMEOUT,
                    retries={"total_max_attempts": 2},
                    s3={"addressing_style": "path"} if url else {},
                ),
            )
            for service in ("s3", "sqs", "dynamodb")
        )

    def refusal(self) -> str:
        """Ask a small thing; returns why it was not answered, in one line, or nothing if it was."""
        try:
            self.dynamodb.list_tables(Limit=1)
        except REFUSALS as error:
            return in_one_line(error)
        return ""

    def control(self, path: str, document: Json | None = None) -> Json:
        """Return counts of nothing."""
        return {"calls": {}, "bytes_in": 0, "violations": 0}

    def env(self, extra: dict[str, str]) -> dict[str, str]:
        """Return the variables of a contender here."""
        chosen = {
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }
        if self.credentials.token:
            chosen["AWS_SESSION_TOKEN"] = self.credentials.token
        variables = environment(self.url, "", {**chosen, **extra})
        if not self.url:
            del variables["AWS_ENDPOINT_URL"]
        return variables

    @contextmanager
    def table(self) -> Iterator[str]:
        """Make a table, and delete it at the end."""
        name = f"millpond-bench-{uuid.uuid4().hex[:12]}"
        keys = {"email": ("S", "HASH"), "createdAt": ("N", "RANGE")}
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, (kind, _) in keys.items()],
            KeySchema=[{"AttributeName": key, "KeyType": role} for key, (_, role) in keys.items()],
        )
        with _deleted(lambda: self.dynamodb.delete_table(TableName=name)):
            self.dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
            yield name

    @contextmanager
    def queue(self) -> Iterator[str]:
        """Make a queue, and delete it at the end; gives its URL."""
        url: str = self.sqs.create_queue(QueueName=f"millpond-bench-{uuid.uuid4().hex[:12]}")["QueueUrl"]
        with _deleted(lambda: self.sqs.delete_queue(QueueUrl=url)):
            yield url

    @contextmanager
    def bucket(self, key: str, body: bytes) -> Iterator[str]:
        """Make a bucket with one object, and delete both at the end."""
        name = f"millpond-bench-{uuid.uuid4().hex[:12]}"
        where = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
        self.s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))
        with (
            _deleted(lambda: self.s3.delete_bucket(Bucket=name)),
            _deleted(lambda: self.s3.delete_object(Bucket=name, Key=key)),
        ):
            self.s3.put_object(Bucket=name, Key=key, Body=body)
            yield name

    def items(self, table: str) -> int:
        """Count the items of a table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table, Select="COUNT", ConsistentRead=True)
        return sum(page["Count"] for page in pages)

    def messages(self, queue_url: str) -> int:
        """Count the messages of a queue, once the count has stopped changing (it lags behind)."""
        name, counts = "ApproximateNumberOfMessages", [-1]
        for _ in range(60):
            attributes = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])["Attributes"]
            counts.append(int(attributes[name]))
            if counts[-1] == counts[-2]:
                break
            time.sleep(1 if not self.url else 0.2)
        return counts[-1]


def in_one_line(error: Exception) -> str:
    """Return what an error says, in one line of at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def _deleted(delete: Callable[[], object]) -> Iterator[None]:
    """Call `delete` at the end. When the block failed, its own error is what counts, also if nothing can be deleted."""
    try:
        yield
    except BaseException:
        with suppress(*REFUSALS):
            delete()
        raise
    delete()
