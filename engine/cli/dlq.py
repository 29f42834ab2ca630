"""`millpond dlq`: look at messages that failed every attempt, and send them back to where they came from.

Nothing is lost on the way: a message that is looked at is only invisible for a while, and one that is sent back is
deleted after it was accepted. So a redrive that breaks off may leave a message in both places, which changes nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from botocore.exceptions import ClientError

from engine.accounts import ENTRY
from engine.cli.account import Target, missing_access
from engine.cli.display import Display
from engine.cli.errors import EXPECTED, CliError, explain
from engine.cli.ingest import Place
from engine.cli.letters import FAILURES, RECORDS, SPANS, Json, Letter, as_sent, describe, event_of, origin_of
from engine.cli.schema import schema_of_stack
from engine.cli.words import counted, listed
from engine.deployment import clients
from engine.deployment import stack as stacks
from engine.schema.model import Schema

_Result = TypeVar("_Result")

_HOLD_SECONDS = 120
"""Messages that are looked at are invisible to others for so long, unless they are released before."""

_BATCH = 10
"""SQS quota: messages of one call."""

_MAX_LETTERS = 100_000
"""Messages of one queue that are looked through. SQS quota: 120,000 may be in flight."""

_IDLE_BATCHES = 3
"""Batches in a row with nothing new after which the end of a queue is assumed: then messages come round again."""


def run_list(display: Display, place: Place, *, limit: int, as_json: bool) -> int:
    """List up to `limit` messages of each queue; return exit code 0."""
    letters = _run(_list(place, limit), place)
    if as_json:
        _write([letter.summary() for letter in letters])
        return 0
    for letter in letters:
        display.letter(letter)
    display.line(counted(len(letters), "message"))
    if any(sum(each.queue == queue for each in letters) >= limit for queue in (RECORDS, FAILURES, SPANS)):
        display.note(f"There may be more than {limit:,} in a queue: see --limit.")
    return 0


def run_show(display: Display, place: Place, wanted: str, *, body: bool, as_json: bool) -> int:
    """Show one message; return 0, or 1 if there is none with this id."""
    found = _run(_show(place, wanted), place)
    if found is None:
        print(
            f"millpond: There is no message {wanted} in the queues, or somebody else has received it.", file=sys.stderr
        )
        return 1
    letter, text = found
    if as_json:
        _write({**letter.details(), **({"body": text} if body else {})})
        return 0
    display.letter(letter)
    display.line(f"  {letter.bytes:,} bytes")
    for name, value in letter.attributes.items():
        display.data(f"  {name}: {value}", style="dim")
    if body:
        display.data(text)
    return 0


def run_redrive(display: Display, place: Place, ids: Sequence[str], *, rate: int | None, as_json: bool) -> int:
    """Send messages back, all where `ids` is empty; return 1 if some could not be sent or were not found."""
    done = _run(_redrive(place, frozenset(ids), rate), place)
    if as_json:
        _write({"sent": done.sent, "failed": done.failed, "notFound": done.not_found})
    else:
        display.done(f"{counted(len(done.sent), 'message')} sent back")
        for message_id, reason in done.failed.items():
            display.failed(f"{message_id}: {reason}")
        if done.failed:
            display.note("What was not sent back is still in its queue.")
        for message_id in done.not_found:
            display.failed(f"{message_id}: not found, or somebody else has received it")
    return 1 if done.failed or done.not_found else 0


@dataclass(slots=True)
class Redriven:
    """What became of a redrive: ids of messages that were sent back, the others with the reason, and unknown ids."""

    sent: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    not_found: list[str] = field(default_factory=list)


class Mailbox:
    """One queue of messages that failed, which are held while they are looked at."""

    def __init__(self, sqs: Any, queue: str, url: str) -> None:
        self.queue = queue
        self._sqs, self._url = sqs, url
        self._held: dict[str, str] = {}

    async def batches(self, limit: int) -> AsyncIterator[list[Json]]:
        """Yield the messages, up to 10 at a time, each once."""
        seen: set[str] = set()
        idle = 0
        while len(seen) < limit and idle < _IDLE_BATCHES:
            reply = await self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(_BATCH, limit - len(seen)),
                VisibilityTimeout=_HOLD_SECONDS,
                WaitTimeSeconds=1,  # without it SQS asks only some of its servers
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            messages = reply.get("Messages", [])
            if not messages:
                return
            self._held |= {each["MessageId"]: each["ReceiptHandle"] for each in messages}
            new = [each for each in messages if each["MessageId"] not in seen]
            seen.update(each["MessageId"] for each in new)
            idle = 0 if new else idle + 1
            yield new

    async def delete(self, message_id: str) -> None:
        """Delete a message that is held."""
        await self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=self._held[message_id])
        del self._held[message_id]

    async def release(self) -> None:
        """Make the messages that are still held visible again; those for which that fails are so after a while."""
        handles = list(self._held.values())
        self._held.clear()
        for start in range(0, len(handles), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + _BATCH])
            ]
            with suppress(ClientError):
                await self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


class Office:
    """The queues of a stack, with open clients."""

    def __init__(self, stack: stacks.Stack, sqs: Any, functions: Any, dynamodb: Any) -> None:
        self.stack = stack
        self._sqs, self._functions, self._dynamodb = sqs, functions, dynamodb
        urls = {
            RECORDS: stack.dead_letter_queue_url,
            FAILURES: stack.failure_queue_url,
            SPANS: stack.span_dead_letter_queue_url,
        }
        self.mailboxes = [Mailbox(sqs, queue, url) for queue, url in urls.items() if url]
        self._objects: dict[str, tuple[str | None, str | None]] = {}

    async def letters(self, schema: Schema, limit: int) -> AsyncIterator[tuple[Letter, Json]]:
        """Yield each message of all queues, up to `limit` of each, and what is known of it."""
        for mailbox in self.mailboxes:
            async for batch in mailbox.batches(limit):
                for message in batch:
                    yield await self._with_object(describe(message, mailbox.queue, schema)), message

    async def _with_object(self, letter: Letter) -> Letter:
        if letter.ingestion is None or letter.bucket is not None or self.stack.ledger is None:
            return letter
        if letter.ingestion not in self._objects:
            self._objects[letter.ingestion] = await self._object_of(letter.ingestion)
        return letter.of_object(*self._objects[letter.ingestion])

    async def _object_of(self, ingestion: str) -> tuple[str | None, str | None]:
        """Return bucket and key as the ledger has them; reading it is optional, so it may be denied."""
        key = {"ingestion": {"S": ingestion}, "part": {"S": ENTRY}}
        try:
            item = (await self._dynamodb.get_item(TableName=self.stack.ledger, Key=key)).get("Item", {})
        except ClientError:
            return None, None
        return item.get("bucket", {}).get("S"), item.get("key", {}).get("S")

    async def send_back(self, message: Json, queue: str) -> str:
        """Send a message to where it came from; return the id that it has there."""
        if queue == FAILURES:
            payload = orjson.dumps(event_of(message["Body"]))
            reply = await self._functions.invoke(
                FunctionName=self.stack.producer, InvocationType="Event", Payload=payload
            )
            return str(reply["ResponseMetadata"].get("RequestId"))
        url = self.stack.queue_url if queue == RECORDS else self.stack.span_queue_url
        if url is None:
            raise CliError("the stack's outputs do not name the queue of spans: deploy it again")
        attributes, group = as_sent(message.get("MessageAttributes", {})), message["Attributes"].get("MessageGroupId")
        more = {"MessageGroupId": group} if group else {}
        reply = await self._sqs.send_message(
            QueueUrl=url, MessageBody=message["Body"], MessageAttributes=attributes, **more
        )
        return str(reply["MessageId"])


@asynccontextmanager
async def _office(place: Place) -> AsyncIterator[Office]:
    stack = await stacks.find(place.stack, endpoint_url=place.endpoint_url, region=place.region)
    async with AsyncExitStack() as exits:
        sqs, functions, dynamodb = [
            await exits.enter_async_context(
                clients.client(service, endpoint_url=place.endpoint_url, region=place.region)
            )
            for service in ("sqs", "lambda", "dynamodb")
        ]
        office = Office(stack, sqs, functions, dynamodb)
        try:
            yield office
        finally:
            for mailbox in office.mailboxes:
                await mailbox.release()


def _run(work: Coroutine[Any, Any, _Result], place: Place) -> _Result:
    if missing := missing_access(Target(place.stack, place.region, place.endpoint_url)):
        work.close()
        raise CliError(listed(missing))
    return asyncio.run(work)


def _write(document: Any) -> None:
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


async def _schema(office: Office, place: Place) -> Schema:
    function = office.stack.query
    file = place.schema or await schema_of_stack(function, endpoint_url=place.endpoint_url, region=place.region)
    return file.schema


async def _list(place: Place, limit: int) -> list[Letter]:
    async with _office(place) as office:
        return [letter async for letter, _ in office.letters(await _schema(office, place), limit)]


async def _show(place: Place, wanted: str) -> tuple[Letter, str] | None:
    async with _office(place) as office:
        async for letter, message in office.letters(await _schema(office, place), _MAX_LETTERS):
            if letter.id == wanted:
                return letter, str(message["Body"])
    return None


async def _redrive(place: Place, ids: frozenset[str], rate: int | None) -> Redriven:
    async with _office(place) as office:
        redrive = Redrive(office, ids, rate)
        for mailbox in office.mailboxes:
            await redrive.empty(mailbox)
        done = redrive.done
        done.not_found = sorted(ids - set(done.sent) - set(done.failed))
        return done


class Redrive:
    """Sends messages back, at most `rate` a second: those with `ids`, or all."""

    def __init__(self, office: Office, ids: frozenset[str], rate: int | None) -> None:
        self._office, self._ids = office, ids
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0
        self._new_ids: set[str] = set()
        self.done = Redriven()

    async def empty(self, mailbox: Mailbox) -> None:
        """Send back what is wanted of one queue; end when the calls for all of a batch fail, as without permission."""
        async for batch in mailbox.batches(_MAX_LETTERS):
            wanted = [each for each in batch if self._is_wanted(each, mailbox.queue)]
            answered = await asyncio.gather(*(self._send_back(each, mailbox) for each in wanted))
            if wanted and not any(answered):
                return
            if self._ids and not self._ids - {*self.done.sent, *self.done.failed}:
                return

    def _is_wanted(self, message: Json, queue: str) -> bool:
        if self._ids:
            return message["MessageId"] in self._ids
        # A message that has failed again meanwhile is left alone: otherwise this might never end.
        return origin_of(message, queue) not in self._new_ids

    async def _send_back(self, message: Json, mailbox: Mailbox) -> bool:
        """Send one message back; return whether the calls for it were answered well."""
        message_id = message["MessageId"]
        if mailbox.queue == FAILURES and event_of(message["Body"]) is None:
            self.done.failed[message_id] = "it holds no event for the producer"
            return True
        await self._slot()
        try:
            self._new_ids.add(await self._office.send_back(message, mailbox.queue))
            await mailbox.delete(message_id)
        except EXPECTED as error:
            self.done.failed[message_id] = explain(error)
            return False
        self.done.sent.append(message_id)
        return True

    async def _slot(self) -> None:
        """Wait until a message may be sent."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._gap
        await asyncio.sleep(at - now)
