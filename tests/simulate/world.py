"""One run: the engine's handlers on virtual time, the services, and what happens to the files.

run_plan(plan_of(7))  # raises what is wrong; returns the figures
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import uvloop

import engine.accounts
import engine.aws.objects
import engine.config
import engine.handlers.runtime
import engine.jobs.ingest
import engine.jobs.split
import engine.jobs.write
import engine.reading.reader
import engine.scans
import engine.tallies
from engine.aws.http1 import Pool
from engine.handlers import producer, query, worker
from engine.handlers.producer import open_producer
from engine.handlers.worker import open_worker
from engine.schema.parse import parse_schema
from tests.builders.invocations import event_of, s3_record
from tests.fakeaws.s3 import MODIFIED
from tests.simulate import clock
from tests.simulate.checks import Checks
from tests.simulate.clock import Loop
from tests.simulate.cloud import BUCKET, LEDGER, POISON, QUEUES, Cloud, DisorderlyQueue, Session
from tests.simulate.files import COLLECTION, File, schema_text
from tests.simulate.functions import Current, Function
from tests.simulate.network import Network
from tests.simulate.plan import Plan

Json = dict[str, Any]

START = MODIFIED + 3_600.0
HOURS = 60.0
"""Of virtual time, in which everything must have come to its end."""

MOST_TURNS = 2_000_000
REAL_SECONDS = 60.0

ATTEMPTS = 3
"""Of an asynchronous invocation: the first, and two more."""


class Stuck(AssertionError):
    """A run does not end."""


@dataclass
class Version:
    """One version of an object as S3 has it, and what became of it."""

    file: File
    version: str | None
    etag: str
    modified: int
    is_disturbed: bool = False
    """Whether it was replaced or deleted so that a reader may not find it."""


@dataclass
class World:
    """What one run consists of."""

    plan: Plan
    cloud: Cloud = field(init=False)
    versions: list[Version] = field(default_factory=list)
    failed_events: list[Json] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    ended: float = START

    def __post_init__(self) -> None:
        """Make services and functions."""
        plan, settings = self.plan, self.plan.settings
        self.cloud = Cloud(plan, START)
        self._draw = plan.stream("world")
        killed, skewed = plan.faults.get("killed", 0.0), "wrong clock" in plan.faults
        self.producer = Function(
            producer, open_producer, settings.producer_seconds, plan.stream("producers"), killed, skewed
        )
        self.worker = Function(worker, open_worker, settings.worker_seconds, plan.stream("workers"), killed, skewed)
        self.checks = Checks(self)
        self.cloud.database.written = self.checks.ledger_written

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the functions."""
        settings = self.plan.settings
        return {
            "SCHEMA": str(_schema_path(self.plan.schema)),
            "QUEUE_URL": f"{QUEUES}records",
            "SPAN_QUEUE_URL": f"{QUEUES}spans",
            "LEDGER_TABLE": LEDGER,
            "TABLE_NAME": COLLECTION,
            "RECORDS_PER_MESSAGE": str(settings.records_per_message),
            "MAX_REJECTS": settings.max_rejects,
            "SPAN_BYTES": str(settings.span_bytes),
            "REJECTS_BUCKET": BUCKET,
        }

    async def live(self) -> None:
        """Let everything happen, until nothing is left to do."""
        settings, cloud = self.plan.settings, self.cloud
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        pollers = [(cloud.records, self.worker, settings.worker_batch)] * settings.workers
        pollers += [(cloud.spans, self.producer, 1)] * settings.producers
        around = [asyncio.create_task(self._poll(*each)) for each in pollers]
        uploads = [asyncio.create_task(self._upload(file)) for file in self.plan.files]
        if "poison" in self.plan.faults:
            uploads.append(asyncio.create_task(self._send_poison()))
        ending = asyncio.create_task(self._end(uploads))
        try:
            done, _ = await asyncio.wait([ending, *around], return_when=asyncio.FIRST_COMPLETED, timeout=HOURS * 3600)
            if not done:
                raise Stuck(f"after {HOURS:.0f} h of virtual time the run has not ended: {self._standing()}")
            for task in done:
                task.result()
        finally:
            for task in (*around, *uploads, ending):
                task.cancel()
            await asyncio.gather(*around, *uploads, ending, return_exceptions=True)
        if cloud.broken:
            raise cloud.broken
        await self.producer.close()
        await self.worker.close()
        await self.checks.at_end()
        await asyncio.sleep(200.0)  # what a killed environment has asked for may still be under way
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, f"tasks are left over: {left}"
        timers = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert not timers, f"timers are left over: {timers}"

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note an exception that nobody has handled, unless it is of an environment that was killed."""
        environment = getattr(context.get("task") or context.get("future"), "environment", None)
        if environment is None or not environment.is_dead:
            self.cloud.fail(context.get("exception") or AssertionError(context["message"]))

    def _standing(self) -> str:
        cloud = self.cloud
        return f"{len(cloud.records.held)} messages, {len(cloud.spans.held)} of spans, {self.under_way} under way"

    async def _end(self, uploads: list[asyncio.Task[None]]) -> None:
        """Wait until every queue is empty; where a service was gone for long, send back once what failed meanwhile."""
        await asyncio.gather(*uploads)
        await self._drained()
        if self.cloud.outage and self.cloud.outage[0] != "table":
            await asyncio.sleep(max(0.0, self.cloud.outage[1] - asyncio.get_running_loop().time()))
            self._redrive()
            await self._drained()

    async def _drained(self) -> None:
        wait = 1.0
        while self.cloud.records.held or self.cloud.spans.held or self.under_way:
            await asyncio.sleep(wait)
            if self.cloud.broken:
                raise self.cloud.broken
            wait = min(60.0, wait * 1.5)

    def _redrive(self) -> None:
        """Do what an operator does after an outage: send back what has failed every attempt."""
        now = asyncio.get_running_loop().time()
        for dead, queue in ((self.cloud.dead, self.cloud.records), (self.cloud.dead_spans, self.cloud.spans)):
            for message in dead.messages:
                if message.body not in POISON:
                    dead.held.pop(message.handle)
                    message.receive_count = 0
                    queue.adopt(message, now)
                    self.counts["redriven"] += 1
        for event in self.failed_events:
            self.cloud.spans.send(json.dumps(event), {}, now)
            self.counts["redriven"] += 1
        self.failed_events.clear()

    async def _poll(self, queue: DisorderlyQueue, function: Function, most: int) -> None:
        """Be one poller of an event source mapping."""
        loop, wait, draw = asyncio.get_running_loop(), 0.2, self._draw
        answer_lost = self.plan.faults.get("answer lost", 0.0)
        while True:
            received = queue.receive(most, loop.time())
            if not received:
                due = queue.next_visible()
                wait = min(20.0, wait * 1.5)
                await asyncio.sleep(wait if due is None else min(20.0, max(0.05, due - loop.time())))
                continue
            wait = 0.2
            self.under_way += 1
            try:
                is_shielded = max(message.receive_count for message in received) > 2
                event = event_of(*(message.lambda_record() for message in received))
                answer = await function.invoke(event, is_shielded=is_shielded)
                if answer is None or (not is_shielded and draw.random() < answer_lost):
                    continue
                failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
                for message in received:
                    if message.message_id not in failed:
                        queue.delete(message.receipt)
            finally:
                self.under_way -= 1

    async def _upload(self, file: File) -> None:
        """Put a file, see that its event arrives, and delete it perhaps."""
        draw, is_late = self.plan.stream(f"upload {file.number}"), "late events" in self.plan.faults
        await asyncio.sleep(file.at)
        loop = asyncio.get_running_loop()
        self._disturb(file.key)
        modified = int(loop.time())
        stored = self.cloud.s3.put(BUCKET, file.key, file.body, modified=modified)
        version = Version(file, stored.version, stored.etag, modified)
        self.versions.append(version)
        record = s3_record(BUCKET, file.key, etag=stored.etag, version=stored.version)
        delays = [draw.choice([0.0, 0.1, 3.0])]
        if is_late:
            delays = [draw.choice([0.0, 1.0, 30.0, 900.0]) for _ in range(draw.choice([1, 2, 3]))]
        tasks = [asyncio.create_task(self._announce(event_of(record), delay)) for delay in delays]
        if file.deleted_after is not None:
            await asyncio.sleep(file.deleted_after)
            self._disturb(file.key)
            self.cloud.s3.delete(BUCKET, file.key)
        await asyncio.gather(*tasks)

    def _disturb(self, key: str) -> None:
        """Note that readers may no longer find what is there under a key."""
        for version in self.versions:
            if version.file.key == key and version.version is None:
                version.is_disturbed = True

    async def _announce(self, event: Json, delay: float) -> None:
        """Deliver an event: through a queue, or by an asynchronous invocation with its attempts."""
        await asyncio.sleep(delay)
        if self.plan.settings.by_queue:
            self.cloud.spans.send(json.dumps(event), {}, asyncio.get_running_loop().time())
            return
        self.under_way += 1
        try:
            for attempt in range(ATTEMPTS):
                answer = await self.producer.invoke(event, is_shielded=attempt == ATTEMPTS - 1)
                if answer is not None:
                    return
                await asyncio.sleep(60.0 * (attempt + 1))
            self.failed_events.append(event)
        finally:
            self.under_way -= 1

    async def _send_poison(self) -> None:
        """Send messages that are not the engine's."""
        await asyncio.sleep(0.5)
        for body in POISON:
            self.cloud.records.send(body, {}, asyncio.get_running_loop().time())


@cache
def _schema_path(name: str) -> Path:
    path = Path(tempfile.mkdtemp(prefix="simulate-")) / "schema.toml"
    path.write_text(schema_text(name), "utf-8")
    return path


_parse_schema = cache(parse_schema)


@contextmanager
def _replaced(world: World) -> Iterator[None]:
    """Put the simulation in the place of the clock, the network and the large sizes of the engine."""
    settings = world.plan.settings
    no_collector = SimpleNamespace(collect=int, freeze=int, unfreeze=int, set_threshold=lambda _: None)
    replacements: list[tuple[Any, str, Any]] = [
        (time, "time", clock.clock),
        (time, "process_time", float),  # the processor's time is not virtual
        (engine.handlers.runtime, "gc", no_collector),
        (uvloop, "new_event_loop", lambda: world_loop(world, world.ended)),
        (Pool.__init__, "__kwdefaults__", {**(Pool.__init__.__kwdefaults__ or {}), "clock": clock.clock}),
        (engine.config, "parse_schema", _parse_schema),
        (engine.config, "MIN_SPAN_BYTES", 1),
        (engine.aws.objects, "CHUNK_BYTES", settings.chunk_bytes),
        (engine.reading.reader, "SAMPLE_BYTES", settings.sample_bytes),
        (engine.scans, "HEAD_BYTES", 2 * settings.sample_bytes),
        (engine.jobs.split, "HEAD_BYTES", 2 * settings.sample_bytes),
        (engine.tallies, "FAN_OUT", settings.fan_out),
        (engine.accounts, "FAN_OUT", settings.fan_out),
        *((handler, "Session", Session) for handler in (producer, worker, query)),
        *((handler, "process", Current()) for handler in (producer, worker)),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    variables = dict(os.environ)
    random_state = random.getstate()
    for owner, name, value in replacements:
        setattr(owner, name, value)
    os.environ.update(world.environment)
    random.seed(world.plan.seed)
    try:
        yield
    finally:
        random.setstate(random_state)
        os.environ.clear()
        os.environ.update(variables)
        for owner, name, value in before:
            setattr(owner, name, value)


def world_loop(world: World, start: float = START) -> Loop:
    """Return an event loop on which a world's functions run."""
    return Loop(start, Network(world.cloud), MOST_TURNS)


@contextmanager
def _bounded() -> Iterator[None]:
    """Break off what spins without ever giving the loop its turn."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stuck(f"the run has not ended after {REAL_SECONDS:.0f} s of real time")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, REAL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_plan(plan: Plan) -> Mapping[str, float]:
    """Run a plan; return what happened in figures. Raises whatever is wrong."""
    with _replaced_logs():
        world = World(plan)
        with _replaced(world), _bounded(), asyncio.Runner(loop_factory=lambda: world_loop(world)) as runner:
            runner.run(world.live())
            world.ended = runner.get_loop().time()
            world.checks.api()
    figures: Counter[str] = Counter(world.cloud.counts)
    figures.update(world.counts)
    for function in (world.producer, world.worker):
        figures.update(function.counts)
    rows = sum(len(version.file.reading.rows) + len(version.file.reading.bad) for version in world.versions)
    return {
        **figures,
        "rows": rows,
        "files": len(world.versions),
        "seconds": world.ended - START,
        "checks": world.checks.made,
    }


@contextmanager
def _replaced_logs() -> Iterator[None]:
    """Write neither log lines nor metrics: they take most of the time."""
    before = [
        (module, name, getattr(module, name))
        for module in (engine.jobs.ingest, engine.jobs.write, query)
        for name in ("log", "measure")
        if hasattr(module, name)
    ]
    for module, name, _ in before:
        setattr(module, name, lambda *_args, **_fields: None)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
