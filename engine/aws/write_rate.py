"""The stated rate of write units: calls to the table wait until their slot of time, which all workers share.

One item of the ledger has the moment up to which the rate is spoken for. A worker that has calls to send adds their
time to it, by an atomic update, and sends them in the time that it has added. So any number of workers obey one rate
without knowing of one another, and a single one can use all of it. Under full load that costs about one write a second
for the whole stack. Slots whose worker is killed or throttled pass unused.

    {"ingestion": "rate", "part": "writes", "until": microseconds since 1970}
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from engine.aws.types import UPDATE_ITEM, Caller
from engine.errors import CONDITION_FAILED, DeadlineExceeded, ServiceError, Verdict
from engine.flow.attempts import Attempts, now, pause
from engine.flow.backoff import Backoff, Deadline
from engine.flow.rate import Rate

HORIZON = 10.0
"""Seconds ahead within which a slot may begin. Ten workers with slots of a second just fill it; of more workers, the
others ask again later instead of waiting in a queue that is longer than an invocation."""

LEAD = 0.1
"""Seconds before the end of its slot at which a worker reserves the next one: longer than the call for that takes."""

GRACE = 0.2
"""Seconds for which unused time can be made up for: a worker's calls between two slots or invocations take time, too.
In any 10 s that is 2% above the rate at most."""

STRAY = 3_600.0
"""A slot that begins so many seconds ahead was reserved by a wrong clock, or by a single call that costs more than an
hour of the rate: it is not waited for."""

BACKOFF = Backoff(base=2.0)
"""Between two requests for a slot. Calls to the ledger cost money too."""

_MICRO = 1_000_000


@dataclass(slots=True, eq=False)
class _Call:
    """A call that waits for its moment on the event loop's clock; `at` is None until it has one."""

    estimate: int
    at: float | None = None
    units: float = 0.0


class WriteRate:
    """Lets calls to a table go at a stated rate of write units a second.

    `update` is the lane of UpdateItem, `clock` the time in seconds since 1970. The clocks of workers need to agree
    within a fraction of a second, as those of Lambda do.
    """

    def __init__(self, ledger: str, per_second: float, update: Caller, clock: Callable[[], float] = time.time) -> None:
        self._ledger, self._lane, self._clock = ledger, update, clock
        self._rate = Rate(per_second)
        self.call_items = self._rate.call_items
        self._waiting: list[_Call] = []
        self._reserving = asyncio.Lock()
        self._used_up = float("-inf")  # the moment of the last call that has one
        self._given_up: Deadline | None = None

    async def turn(self, estimate: int, deadline: Deadline) -> float:
        """Wait for the moment of a call that costs about so many units; return how many are reserved for it.

        Raises `DeadlineExceeded` if it would come too late, and `ServiceError` with a fatal verdict if the ledger
        cannot be written to.
        """
        call = _Call(estimate)
        self._waiting.append(call)
        try:
            # Those that wait take turns: the first one reserves a slot for all of them, as far as it goes.
            async with self._reserving:
                if call.at is None:
                    await self._reserve(deadline)
        finally:
            if call.at is None:
                self._waiting.remove(call)
        assert call.at is not None  # noqa: S101 - the first of those that wait is in every slot
        wait = call.at - now()
        if wait >= deadline.remaining(now()):
            raise DeadlineExceeded("no time left at the stated rate")
        if wait > 0:
            await asyncio.sleep(wait)
        return call.units

    def settle(self, estimate: int, reserved: float, units: float) -> None:
        """Note what a call has cost in the end; `estimate` is that of the items it has written."""
        self._rate.settle(estimate, reserved, units)

    async def _reserve(self, deadline: Deadline) -> None:
        """Reserve a slot for the calls that wait, once the last one is nearly used up: by then there are many."""
        if self._given_up is deadline:
            raise DeadlineExceeded("no time left at the stated rate")
        try:
            wait = self._used_up - LEAD - now()
            if wait >= deadline.remaining(now()):
                raise DeadlineExceeded("no time left at the stated rate")
            if wait > 0:
                await asyncio.sleep(wait)
            attempts = Attempts(_pause, deadline)
            while not await self._try(attempts, deadline):
                await attempts.wait()
        except DeadlineExceeded:
            self._given_up = deadline  # spares the others that wait their own requests
            raise

    async def _try(self, attempts: Attempts, deadline: Deadline) -> bool:
        slot = self._rate.slot([call.estimate for call in self._waiting], deadline.remaining(now()))
        calls = self._waiting[: len(slot.units)]
        try:
            begins = await self._add(slot.seconds, deadline)
        except ServiceError as error:
            attempts.failed(error)
            return False
        if begins is None:
            attempts.refused()
            return False
        self._rate.reserved(slot)
        start = now() + begins - self._clock()
        for call, offset, units in zip(calls, slot.offsets, slot.units, strict=True):
            call.at, call.units = start + offset, units
        self._waiting = [call for call in self._waiting if call.at is None]
        self._used_up = start + slot.offsets[-1]
        return True

    async def _add(self, seconds: float, deadline: Deadline) -> float | None:
        """Add a slot to what is reserved; return when it begins, since 1970.

        None if that would be too far ahead, or the slot would end after the deadline and be lost in part.
        """
        at = int(self._clock() * _MICRO)
        latest = at + int(min(HORIZON, deadline.remaining(now()) - seconds) * _MICRO)
        since, cost = at - int(GRACE * _MICRO), int(seconds * _MICRO)
        # Almost always other slots are reserved already: theirs end where this one begins.
        after = await self._update(
            "ADD #u :cost", "#u BETWEEN :now AND :latest", {":cost": cost, ":now": since, ":latest": latest}, deadline
        )
        if after is not None:
            return (after - cost) / _MICRO
        stray = at + int(STRAY * _MICRO)
        fresh = await self._update(
            "SET #u = :end",
            "attribute_not_exists(#u) OR #u < :now OR #u > :stray",
            {":end": at + cost, ":now": since, ":stray": stray},
            deadline,
        )
        return None if fresh is None else at / _MICRO

    async def _update(self, change: str, condition: str, values: dict[str, int], deadline: Deadline) -> int | None:
        """Update the item; return the moment it then has, or None if the condition is not met."""
        body = {
            "TableName": self._ledger,
            "Key": {"ingestion": {"S": "rate"}, "part": {"S": "writes"}},
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#u": "until"},
            "ExpressionAttributeValues": {name: {"N": str(value)} for name, value in values.items()},
            "ReturnValues": "UPDATED_NEW",
        }
        try:
            reply = await self._lane.call(orjson.dumps(body), deadline)
            return int(orjson.loads(reply)["Attributes"]["until"]["N"])
        except ServiceError as error:
            if error.code == CONDITION_FAILED:
                return None
            if error.verdict is Verdict.POISON:  # about the ledger, not about the rows that wait
                raise ServiceError(
                    error.operation, error.code, error.status, error.detail, verdict=Verdict.FATAL
                ) from None
            raise
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise ServiceError(UPDATE_ITEM.name, "UnreadableReply", 0) from None


async def _pause(attempt: int, deadline: Deadline) -> None:
    await pause(BACKOFF, attempt, deadline, UPDATE_ITEM.name)
