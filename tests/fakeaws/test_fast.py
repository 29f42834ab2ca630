"""The fast front answers as the models do: what it does not look at makes no difference to well-formed requests."""

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakeaws.backend import Backend
from tests.fakeaws.capacity import TokenBucket
from tests.fakeaws.dynamodb import DynamoDB, Table
from tests.fakeaws.fast.contents import Contents
from tests.fakeaws.fast.dynamodb import BATCH_WRITE_ITEM, PUT_ITEM, Tables
from tests.fakeaws.fast.sqs import Queues
from tests.fakeaws.fast.state import Counts, Settings
from tests.fakeaws.queues import Queue
from tests.fakeaws.sqs import Sqs

Json = dict[str, Any]

KEY = {"email": "S", "createdAt": "N"}
SEND = "AmazonSQS.SendMessageBatch"
CONTENTS = Contents(
    tables={"users": KEY},
    queues=("q",),
    generated=lambda bucket, key: None,
    records=lambda message: 1,
    numbers=lambda message: [0],
    units=lambda payload: 1,
)

# As a client writes them: with escapes or without, and with what is counted standing in the data.
TEXTS = st.sampled_from(['"PutRequest"', 'é"\\', "\u2028"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=9
)
BATCHES = st.lists(st.tuples(st.integers(0, 10**9), TEXTS), min_size=1, max_size=25, unique_by=lambda each: each[0])


def counts() -> Counts:
    return Counts(slots=defaultdict(Counter))


def answer_of(reply: bytes) -> tuple[int, Json]:
    head, _, body = reply.partition(b"\r\n\r\n")
    document: Json = json.loads(body)
    return int(head.split()[1]), document


def batch_of(rows: list[tuple[int, str]], *, escaped: bool) -> bytes:
    puts = [
        {"PutRequest": {"Item": {"email": {"S": "a"}, "createdAt": {"N": str(row)}, "name": {"S": text}}}}
        for row, text in rows
    ]
    return json.dumps({"RequestItems": {"users": puts}}, ensure_ascii=escaped).encode()


@given(st.lists(BATCHES, min_size=1, max_size=5), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 60))
@settings(max_examples=60)
@pytest.mark.parametrize("check", [False, True])
def test_writes_are_answered_and_counted_as_by_the_model(
    check: bool, batches: list[list[tuple[int, str]]], escaped: bool, whole_share: float, burst: float
) -> None:
    chosen = Settings(wcu=1.0 if burst else 0.0, burst_seconds=burst, exception_share=whole_share, keys=True)
    seen = counts()
    fast = Tables(CONTENTS, chosen, seen, 0.0)
    table = Table(KEY, TokenBucket(1.0, burst_seconds=burst) if burst else None, whole_share)
    model = Backend(DynamoDB({"users": table}))
    for number, rows in enumerate(batches):
        body = batch_of(rows, escaped=escaped)
        reply = model.answer(BATCH_WRITE_ITEM, body, float(number))
        answered = answer_of(fast.batch_write(body, "bench", float(number), check=check))
        assert answered == (reply.status, json.loads(reply.body))
    assert seen.violations == 0
    assert seen.rows_written == sum(table.writes.values())
    assert seen.rows_written + seen.rows_refused == sum(map(len, batches))
    assert seen.errors["ProvisionedThroughputExceededException"] + seen.partial == table.throttled


@given(BATCHES, st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=30)
def test_single_writes_are_answered_and_counted_as_by_the_model(
    rows: list[tuple[int, str]], escaped: bool, check: bool, scarce: bool
) -> None:
    chosen = Settings(wcu=1.0 if scarce else 0.0, burst_seconds=3, keys=True)
    seen = counts()
    fast = Tables(CONTENTS, chosen, seen, 0.0)
    table = Table(KEY, TokenBucket(1.0, burst_seconds=3) if scarce else None)
    model = Backend(DynamoDB({"users": table}))
    for row, text in rows:
        item = {"email": {"S": "a"}, "createdAt": {"N": str(row)}, "name": {"S": text}}
        put = {
            "TableName": "users",
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#v) OR #v <= :v",
            "ExpressionAttributeNames": {"#v": "createdAt"},
            "ExpressionAttributeValues": {":v": item["createdAt"]},
        }
        body = json.dumps(put, ensure_ascii=escaped).encode()
        reply = model.answer(PUT_ITEM, body, 0.0)
        assert answer_of(fast.put_item(body, "bench", 0.0, check=check)) == (reply.status, json.loads(reply.body))
    assert seen.violations == 0
    assert seen.rows_written == len(table.items)
    assert seen.rows_written + seen.rows_refused == len(rows)
    assert len(seen.keys) == (seen.rows_written if check or scarce else 0)


@pytest.mark.parametrize(
    "rows",
    [
        [(1, "a"), (1, "b")],
        [(row, "a") for row in range(26)],
        [(1, "x" * 1_100)],
        [(1, "x" * 500_000)],
    ],
    ids=["duplicates", "too many", "more than one unit", "too large"],
)
def test_a_sampled_call_is_held_against_the_rules(rows: list[tuple[int, str]]) -> None:
    seen = counts()
    fast = Tables(CONTENTS, Settings(), seen, 0.0)
    status, document = answer_of(fast.batch_write(batch_of(rows, escaped=False), "", 0.0, check=True))
    assert (status, document["__type"].rpartition("#")[2]) == (400, "ValidationException")
    assert (seen.violations, seen.rows_written) == (1, 0)


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=10), st.booleans(), st.booleans())
@settings(max_examples=60)
@pytest.mark.parametrize("check", [False, True])
def test_messages_are_answered_as_by_the_model(check: bool, texts: list[str], escaped: bool, keep: bool) -> None:
    texts = [text for text in texts if all(character >= " " and character < "\ufffe" for character in text)] or ["a"]
    attributes = {"records": {"DataType": "Number", "StringValue": "1"}}
    entries = [{"Id": str(i), "MessageBody": text, "MessageAttributes": attributes} for i, text in enumerate(texts)]
    body = json.dumps({"QueueUrl": "http://x/0/q", "Entries": entries}, ensure_ascii=escaped).encode()
    seen, queue = counts(), Queue()
    fast = Queues(CONTENTS, Settings(keep_messages=keep), seen)
    reply = json.loads(Backend(sqs=Sqs({"q": queue})).answer(SEND, body, 0.0).body)
    status, document = answer_of(fast.answer(SEND, body, 0.0, check=check))
    if not check:  # a client of the benchmarks pays for no digest of attributes that the fast path would have to make
        for entry in reply["Successful"]:
            del entry["MD5OfMessageAttributes"]
    assert (status, document) == (200, reply)
    assert (seen.violations, seen.messages, seen.records) == (0, queue.taken, queue.taken)
    received = answer_of(
        fast.answer("AmazonSQS.ReceiveMessage", b'{"QueueUrl":"q","MaxNumberOfMessages":10}', 0.0, check=False)
    )
    assert [each["Body"] for each in received[1].get("Messages", [])] == (texts if keep else [])


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"Id": str(i), "MessageBody": "a"} for i in range(11)],
        [{"Id": "0", "MessageBody": "a"}] * 2,
        [{"Id": "0", "MessageBody": "a" * 1_048_577}],
        [{"Id": "0"}],
    ],
    ids=["none", "too many", "one id twice", "too large", "no body"],
)
def test_batches_that_sqs_refuses_are_violations_in_every_call(entries: list[Json]) -> None:
    seen = counts()
    fast = Queues(CONTENTS, Settings(), seen)
    body = json.dumps({"QueueUrl": "q", "Entries": entries}).encode()
    assert answer_of(fast.answer(SEND, body, 0.0, check=False))[0] == 400
    assert (seen.violations, seen.messages) == (1, 0)


def test_illegal_characters_are_found_in_the_sample() -> None:
    seen = counts()
    fast = Queues(CONTENTS, Settings(), seen)
    body = json.dumps({"QueueUrl": "q", "Entries": [{"Id": "0", "MessageBody": "a\0"}]}).encode()
    assert "Failed" in answer_of(fast.answer(SEND, body, 0.0, check=True))[1]
    assert seen.violations == 1
