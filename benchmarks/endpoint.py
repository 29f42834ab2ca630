"""Worker and producer against an emulator, or AWS itself, instead of the stand-in: ``--endpoint URL`` or ``aws``.

There the other side is the bottleneck, so its own ceiling stands beside the results: what it takes of requests that
were signed beforehand. Each contender gets a table and a queue of its own; what is in them at the end is counted, and
all of it is removed again. On AWS this costs money: some cents, by the number of rows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import uvloop
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks import data, machine, plots, report, rivals
from benchmarks.figures import summarise
from benchmarks.harness import Line, usual_figures
from benchmarks.model import Entry, Json, Options, Question, Run
from benchmarks.processes import RunFailed, environment, run
from benchmarks.questions.common import RATES, producer, worker
from benchmarks.sink import load

ROWS = 20_000
CEILING_SECONDS = 3.0


class Place:
    """An endpoint with clients; stands where a stand-in would, but counts nothing."""

    authority = ""

    def __init__(self, url: str) -> None:
        self.url = url
        session = boto3.Session()
        found = session.get_credentials()
        if found is None and not url:
            sys.exit("No AWS credentials found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.")
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
                    connect_timeout=5, retries={"total_max_attempts": 2}, s3={"addressing_style": "path"} if url else {}
                ),
            )
            for service in ("s3", "sqs", "dynamodb")
        )

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
        """Make a table, and remove it at the end."""
        name = f"millpond-bench-{uuid.uuid4().hex[:12]}"
        keys = {"email": ("S", "HASH"), "createdAt": ("N", "RANGE")}
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, (kind, _) in keys.items()],
            KeySchema=[{"AttributeName": key, "KeyType": role} for key, (_, role) in keys.items()],
        )
        try:
            self.dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
            yield name
        finally:
            self.dynamodb.delete_table(TableName=name)

    @contextmanager
    def queue(self) -> Iterator[str]:
        """Make a queue, and remove it at the end; gives its URL."""
        url: str = self.sqs.create_queue(QueueName=f"millpond-bench-{uuid.uuid4().hex[:12]}")["QueueUrl"]
        try:
            yield url
        finally:
            self.sqs.delete_queue(QueueUrl=url)

    @contextmanager
    def bucket(self, key: str, body: bytes) -> Iterator[str]:
        """Make a bucket with one object, and remove both at the end."""
        name = f"millpond-bench-{uuid.uuid4().hex[:12]}"
        where = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
        self.s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))
        try:
            self.s3.put_object(Bucket=name, Key=key, Body=body)
            yield name
        finally:
            self.s3.delete_object(Bucket=name, Key=key)
            self.s3.delete_bucket(Bucket=name)

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

    def ceilings(self) -> Json:
        """Measure what the endpoint takes of requests that were signed beforehand."""
        result: Json = {"generator": "own client", "operations": {}}
        with self.table() as table, self.queue() as queue:
            of_table, of_queue = self.dynamodb.meta.endpoint_url, self.sqs.meta.endpoint_url
            requests = {
                "BatchWriteItem": (of_table, load.write_request(of_table, table, self.credentials, self.region)),
                "SendMessageBatch": (of_queue, load.send_request(of_queue, queue, self.credentials, self.region)),
            }
            for name, (url, request) in requests.items():
                try:
                    rate = uvloop.run(load.by_own_client(url, request, CEILING_SECONDS))
                except RuntimeError as error:
                    result["operations"][name] = {"calls_per_second": 0, "rows_per_second": 0, "error": str(error)}
                    continue
                result["operations"][name] = {"calls_per_second": rate, "rows_per_second": rate * request.rows}
        return result


def _work(place: Place, entry: Entry, folder: Path) -> Run:
    with place.table() as table:
        result = _run(place, entry, folder, {"TABLE_NAME": table, **entry.env}, entry.event)
        if (found := place.items(table)) != entry.distinct:
            raise RunFailed(f"void: {found:,} items in the table, not {entry.distinct:,}")
    return result


def _produce(place: Place, entry: Entry, folder: Path) -> Run:
    key = data.key_of(entry.records_per_call)
    body = data.HEADER + data.block() * (entry.records_per_call // data.BLOCK_ROWS)
    with place.queue() as queue, place.bucket(key, body) as bucket:
        result = _run(place, entry, folder, {"QUEUE_URL": queue, **entry.env}, data.s3_event(key, bucket=bucket))
        found, most = place.messages(queue), result.total_records
        # Packed messages hold up to 500 rows; what is inside is looked at by the stand-in only.
        if not most / 500 <= found <= most:
            raise RunFailed(f"void: {found:,} messages in the queue for {most:,} records")
    return result


def _run(place: Place, entry: Entry, folder: Path, env: dict[str, str], event: Any) -> Run:
    path = folder / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    spec = {**entry.spec, "event": str(path), "warmup": 1, "repeat": 1, "records_per_call": entry.records_per_call}
    return run(entry.contender, [spec], [place.env(env)], place)


def _questions() -> list[tuple[Question, Callable[[Place, Entry, Path], Run], list[Entry]]]:
    workers = [
        worker(rivals.MILLPOND, messages=ROWS // 500),
        worker(rivals.GO, messages=ROWS // 500, env=rivals.GO_ENV),
        worker(rivals.BATCH_WRITER, messages=ROWS // 500, spec={"way": "batch_writer"}),
        worker(rivals.AIOBOTO3, messages=ROWS // 500),
    ]
    producers = [producer(rivals.MILLPOND, ROWS), producer(rivals.BATCH_WRITER, ROWS, "boto3, one message a row")]
    columns = RATES[:3]
    return [
        (
            Question(
                name="work",
                title=f"Worker: {ROWS:,} rows into a new table",
                about="One call, after one that opened the connections and did the same.",
                unit="records",
                entries=lambda _: workers,
                columns=columns,
                chart="per_second",
            ),
            _work,
            workers,
        ),
        (
            Question(
                name="produce",
                title=f"Producer: {ROWS:,} rows into a new queue",
                about="One call, after one that opened the connections and did the same.",
                unit="records",
                entries=lambda _: producers,
                columns=columns,
                chart="per_second",
            ),
            _produce,
            producers,
        ),
    ]


def main(url: str, options: Options, out: Path, say: Callable[[str], None]) -> bool:
    """Measure at `url` (``aws``: AWS itself, with the person's own credentials) and write the results.

    Tells whether some run was void. Ends the process with one line where nothing like AWS answers.
    """
    place = Place("" if url == "aws" else url.rstrip("/"))
    try:
        place.dynamodb.list_tables(Limit=1)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{url} does not answer like AWS: {str(error).splitlines()[0][:200]}")
    say(f"{url}: its own ceiling")
    before = place.ceilings()
    answers = []
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
        for question, measure, entries in _questions():
            say(f"{question.name}: {question.title}")
            answers.append((question, _answer(place, question, measure, entries, options, Path(folder), say)))
    say(f"{url}: its own ceiling again")
    ceilings = {f"{url}, before": before, f"{url}, after": place.ceilings()}
    about = {**machine.describe(options), "placement": "Where the server runs is not known here."}
    markdown = report.as_markdown(answers, about, ceilings)
    print(markdown)
    document = report.as_json(answers, about, ceilings)
    (out / "endpoint.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (out / "endpoint.md").write_text(markdown, encoding="utf-8")
    plots.draw(answers, out, "endpoint")
    say(f"written to {out}/endpoint.json, .md, .png and .svg")
    return any(line.void for _, lines in answers for line in lines)


def _answer(
    place: Place,
    question: Question,
    measure: Callable[[Place, Entry, Path], Run],
    entries: list[Entry],
    options: Options,
    folder: Path,
    say: Callable[[str], None],
) -> list[Line]:
    lines = [Line(entry.label, entry.contender.name, entry.contender.settings) for entry in entries]
    for _ in range(options.rounds):
        for entry, line in zip(entries, lines, strict=True):
            if reason := entry.contender.missing():
                line.missing = reason
                continue
            entry.cost = False
            try:
                figures = usual_figures(entry, measure(place, entry, folder))
            except (RunFailed, ClientError) as error:
                line.void.append(str(error))
                say(f"  {entry.label}: {error}")
                continue
            line.rounds.append(figures)
            say(f"  {entry.label}: {figures['per_second']:,.0f} {question.unit}/s")
    for line in lines:
        line.summary = summarise(line.rounds)
    return lines
