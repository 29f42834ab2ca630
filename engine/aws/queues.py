"""Messages -> SQS, until each one is accepted.

A `Sending` gathers messages into batches within SQS's limits and keeps several SendMessageBatch calls in flight. What
bounds it: the calls by the gate's window, the memory by `MAX_BYTES_IN_FLIGHT`. `put` waits when either is used up, so a
fast reader is held back by a slow queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any

import orjson

from engine.aws.types import Caller
from engine.errors import DeadlineExceeded, ServiceError, Verdict, verdict_of
from engine.flow.attempts import Attempts
from engine.flow.backoff import Deadline
from engine.flow.gate import Gate
from engine.flow.window import Window
from engine.messages.message import Outgoing, is_full

MAX_IN_FLIGHT = 32
INITIAL_IN_FLIGHT = 4
"""Doubles with each round trip. SQS answers many calls at a time, and what is handed on has little time."""

BUSY_IN_FLIGHT = 16
"""Calls in flight at the most while the processor is busy. Measured with an instant queue, records per CPU-second: 4, 8
and 16 are equal, 32 is 5% slower, because so many bodies of 600 KB do not fit into the processor's cache."""

MAX_BYTES_IN_FLIGHT = 16 * 1_048_576
"""Bytes of message bodies waiting for SQS's word: 16 full batches."""


class QueueSender:
    """Sends to one queue through one lane. Keeps what it has learned of how fast the queue takes messages."""

    def __init__(self, queue_url: str, lane: Caller, *, max_batch_bytes: int) -> None:
        self._queue_url = queue_url
        self._lane = lane
        self._max_batch_bytes = max_batch_bytes
        self._gate = Gate(Window(INITIAL_IN_FLIGHT, MAX_IN_FLIGHT, busy_limit=BUSY_IN_FLIGHT))

    @asynccontextmanager
    async def sending(self, deadline: Deadline) -> AsyncIterator[Sending]:
        """Open a sending; on leaving it, every message put has been accepted by SQS.

        Raises `ServiceError` when a message or the queue is refused for good, `DeadlineExceeded` when time is up.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = Sending(self, tasks, deadline, self._max_batch_bytes)
                yield sending
                await sending.flush()
        except BaseExceptionGroup as group:
            # What the caller raised inside comes first; otherwise all tasks tell of the same fault.
            raise group.exceptions[0] from None

    def request(self, messages: Sequence[Outgoing]) -> bytes:
        """Return the body of the SendMessageBatch call that sends up to 10 messages."""
        entries: list[dict[str, Any]] = [
            {"Id": str(i), "MessageBody": message.body.decode(), "MessageAttributes": message.attributes}
            for i, message in enumerate(messages)
        ]
        for entry, message in zip(entries, messages, strict=True):
            if message.delay_seconds:
                entry["DelaySeconds"] = message.delay_seconds
            if message.group:
                # Of a standard queue that makes it a fair one: messages of a small file need not wait for a huge one's.
                entry["MessageGroupId"] = message.group
        return orjson.dumps({"QueueUrl": self._queue_url, "Entries": entries})

    async def send(self, request: bytes, count: int, deadline: Deadline) -> None:
        """Send a `request` with `count` messages until each is accepted. Until then it is all that is kept of them.

        Raises `ServiceError` when one of them is refused for good.
        """

        def note(_: Set[str], refused: Mapping[str, str]) -> None:
            for code in refused.values():
                raise ServiceError("SendMessageBatch", code, 400, verdict=Verdict.FATAL)

        await self._settle(request, count, deadline, note)

    async def send_each(self, messages: Sequence[Outgoing], deadline: Deadline) -> set[int]:
        """Send messages, as many as there is time for; return the indexes of those that SQS has accepted.

        One that SQS refuses holds back no other. Raises `ServiceError` only where the queue cannot be used at all and
        nothing was accepted.
        """
        accepted: set[int] = set()
        faults: list[ServiceError] = []

        async def send(batch: range) -> None:
            try:
                request = self.request(messages[batch.start : batch.stop])
                await self._settle(
                    request, len(batch), deadline, lambda ids, _: accepted.update(batch[int(each)] for each in ids)
                )
            except DeadlineExceeded:
                pass
            except ServiceError as error:
                faults.append(error)

        async with asyncio.TaskGroup() as tasks:
            for batch in _batches(messages, self._max_batch_bytes):
                tasks.create_task(send(batch))
        if faults and not accepted:
            raise faults[0]
        return accepted

    async def _settle(self, request: bytes, count: int, deadline: Deadline, note: Note) -> None:
        """Send a `request` until each of its `count` messages is accepted or refused for good."""
        left = set(map(str, range(count)))
        attempts = Attempts(self._lane.pause, deadline)
        while True:
            try:
                accepted, failed = await self._call(request, deadline)
            except ServiceError as error:
                attempts.failed(error)
            else:
                refused = {each: code for each, code, hopeless in failed if hopeless and each in left}
                note(accepted & left, refused)
                # What the reply does not mention is not accepted.
                settled = left & accepted | refused.keys()
                if settled:
                    attempts.progressed()
                    left -= settled
                    if not left:
                        return
                    request = _only(request, left)
                else:
                    attempts.refused()
            await attempts.wait()

    async def _call(self, body: bytes, deadline: Deadline) -> tuple[set[str], list[Failed]]:
        """Send one call; return the ids that SQS accepted, and the entries that failed."""
        gate = self._gate
        async with gate:
            sent = await gate.sent()
            try:
                reply = await self._lane.call(body, deadline, gate.patience)
            except ServiceError as error:
                gate.failed(sent, error)
                raise
            finally:
                gate.ended()
            accepted, failed = _read_reply(reply)
            gate.answered(sent, len(accepted), sum(verdict_of(code, 0) is Verdict.THROTTLE for _, code, _ in failed))
            return accepted, failed


class Sending:
    """One run of messages; see `QueueSender.sending`."""

    def __init__(self, sender: QueueSender, tasks: asyncio.TaskGroup, deadline: Deadline, max_batch_bytes: int) -> None:
        self._sender, self._tasks, self._deadline = sender, tasks, deadline
        self._max_batch_bytes = max_batch_bytes
        self._batch: list[Outgoing] = []
        self._batch_bytes = 0
        self._bytes_in_flight = 0
        self._calls_in_flight = 0
        self._freed = asyncio.Event()
        self.accepted = 0
        """Messages that SQS has accepted so far."""

    async def put(self, messages: Iterable[Outgoing]) -> None:
        """Take messages; waits while too much is in flight."""
        for message in messages:
            size = message.size
            if is_full(len(self._batch), self._batch_bytes + size, self._max_batch_bytes):
                await self.flush()
            self._batch.append(message)
            self._batch_bytes += size

    async def flush(self) -> None:
        """Send what has been gathered; returns when that is under way."""
        if not self._batch:
            return
        batch, size = self._batch, self._batch_bytes
        self._batch, self._batch_bytes = [], 0
        while self._calls_in_flight and (
            self._calls_in_flight >= MAX_IN_FLIGHT or self._bytes_in_flight + size > MAX_BYTES_IN_FLIGHT
        ):
            self._freed.clear()
            await self._freed.wait()
        self._calls_in_flight += 1
        self._bytes_in_flight += size
        # Made only now, when it can go out: the messages themselves are not kept beside it.
        self._tasks.create_task(self._send(self._sender.request(batch), len(batch), size))

    async def _send(self, request: bytes, count: int, size: int) -> None:
        try:
            await self._sender.send(request, count, self._deadline)
            self.accepted += count
        finally:
            self._calls_in_flight -= 1
            self._bytes_in_flight -= size
            self._freed.set()


def _only(request: bytes, ids: Container[str]) -> bytes:
    """Return `request` with those of its entries alone."""
    document = orjson.loads(request)
    entries = [entry for entry in document["Entries"] if entry["Id"] in ids]
    return orjson.dumps({**document, "Entries": entries})


def _batches(messages: Sequence[Outgoing], max_bytes: int) -> Iterator[range]:
    """Cut messages into batches that fit one call each; yields their indexes."""
    start = size = 0
    for index, message in enumerate(messages):
        if is_full(index - start, size + message.size, max_bytes):
            yield range(start, index)
            start, size = index, 0
        size += message.size
    if messages:
        yield range(start, len(messages))


Note = Callable[[Set[str], Mapping[str, str]], None]
"""Told what each reply says: the ids accepted, and the error code of each id that was refused for good."""

Failed = tuple[str, str, bool]
"""An entry that SQS did not accept: its id, the error code, and whether it never will."""


def _read_reply(reply: bytes) -> tuple[set[str], list[Failed]]:
    """Return the accepted ids and the failed entries."""
    try:
        body = orjson.loads(reply)
        accepted = {entry["Id"] for entry in body.get("Successful") or ()}
        failed = [
            (str(entry["Id"]), code, bool(entry.get("SenderFault")) and verdict_of(code, 0) is not Verdict.THROTTLE)
            for entry in body.get("Failed") or ()
            for code in [str(entry["Code"])]
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ServiceError("SendMessageBatch", "UnreadableReply", 0) from None
    return accepted, failed
