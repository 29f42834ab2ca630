"""One scenario: files are loaded while processes die and services fail; then each row is looked for."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from engine.accounts import Account
from engine.deployment import clients
from engine.deployment.stack import Stack
from engine.local.server import LocalServer
from engine.local.stack import deploy_local
from tests.chaos.processes import functions_below, send
from tests.chaos.proxy import KINDS, FaultProxy

Json = dict[str, Any]

PARAMETERS = {
    "QueueVisibilityTimeout": "10",
    "MaxReceiveCount": "100",
    "MaxRejects": "100%",
    "ProducerTimeout": "10",
    "WorkerTimeout": "10",
}
"""Short times, so that what is killed comes again soon. Limits of receives and rejects are not what is tried here."""

SECONDS = 300
"""After which rows that are still in flight are a failure, once nothing fails any more."""


class ChaosError(AssertionError):
    """What a scenario found; the message names its seed."""


@dataclass(slots=True)
class File:
    """A file to load, and what must come of it."""

    key: str
    body: bytes
    mails: set[str]
    rejected: int
    is_refused: bool = False


@dataclass(slots=True)
class Report:
    """What scenarios did."""

    rows: int = 0
    signals: Counter[str] = field(default_factory=Counter)
    spoiled: Counter[tuple[str, str]] = field(default_factory=Counter)
    redriven: int = 0
    checks: int = 0


class World:
    """A local AWS with the stack, and a proxy between the functions and it."""

    def __init__(self, server: LocalServer, stack: Stack, proxy: FaultProxy, services: dict[str, Any]) -> None:
        self._server, self.stack, self.proxy = server, stack, proxy
        assert stack.ledger
        self.ledger = stack.ledger
        self.s3, self.dynamodb, self.sqs, self.lambda_ = (
            services[name] for name in ("s3", "dynamodb", "sqs", "lambda")
        )
        self.report = Report()

    def functions(self) -> list[tuple[int, str]]:
        """The processes of functions, by id and name."""
        return functions_below(self._server.pid)

    async def accounts(self, seed: int) -> dict[str, Account]:
        """The accounts of a scenario's files by ingestion. Something late of an earlier scenario may be there, too."""
        accounts: dict[str, Account] = {}
        pages = self.dynamodb.get_paginator("query")
        ids = {item["ingestion"]["S"] for item in await self._items(self.ledger)}
        for ingestion in ids:
            account = Account()
            async for page in pages.paginate(
                TableName=self.ledger,
                KeyConditionExpression="ingestion = :i",
                ExpressionAttributeValues={":i": {"S": ingestion}},
                ConsistentRead=True,
            ):
                for item in page["Items"]:
                    account.add(item)
            # Where `opened` is, the account is that of another ingestion.
            if account.entry.get("key", "").startswith(f"uploads/chaos-{seed}-") and "opened" not in account.entry:
                accounts[ingestion] = account
        return accounts

    async def items(self) -> list[Json]:
        """All items of the table."""
        return await self._items(self.stack.table)

    async def _items(self, table: str) -> list[Json]:
        pages = self.dynamodb.get_paginator("scan")
        return [item async for page in pages.paginate(TableName=table, ConsistentRead=True) for item in page["Items"]]

    async def forget(self) -> None:
        """Empty table and ledger, so that scenarios stay apart."""
        for table, keys in ((self.stack.table, ("email", "createdAt")), (self.ledger, ("ingestion", "part"))):
            found = [{name: item[name] for name in keys} for item in await self._items(table)]
            for start in range(0, len(found), 25):
                deletes = [{"DeleteRequest": {"Key": key}} for key in found[start : start + 25]]
                await self.dynamodb.batch_write_item(RequestItems={table: deletes})

    async def redrive(self) -> int:
        """Send back what the dead-letter queues and the failure queue hold, as an operator does; return how many."""
        count = 0
        for url, back in (
            (self.stack.dead_letter_queue_url, self.stack.queue_url),
            (self.stack.span_dead_letter_queue_url, self.stack.span_queue_url),
            (self.stack.failure_queue_url, None),
        ):
            if url is None:
                continue
            while messages := (
                await self.sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30, MessageAttributeNames=["All"]
                )
            ).get("Messages"):
                for message in messages:
                    await self._send_back(message, back)
                    await self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    count += 1
        return count

    async def _send_back(self, message: Json, queue: str | None) -> None:
        if queue is None:
            event = json.loads(message["Body"])
            payload = json.dumps(event.get("requestPayload", event)).encode()
            await self.lambda_.invoke(FunctionName=self.stack.producer, InvocationType="Event", Payload=payload)
        else:
            attributes = {
                name: {"DataType": value["DataType"], "StringValue": value["StringValue"]}
                for name, value in message.get("MessageAttributes", {}).items()
            }
            await self.sqs.send_message(QueueUrl=queue, MessageBody=message["Body"], MessageAttributes=attributes)


@asynccontextmanager
async def opened_world(server: LocalServer, seed: int) -> AsyncIterator[World]:
    """Deploy the stack, with a proxy between its functions and the services."""
    stack = await deploy_local(server.endpoint_url, parameters=PARAMETERS)
    async with AsyncExitStack() as exits:
        proxy = await exits.enter_async_context(FaultProxy(server.port, random.Random(seed)))
        services = {
            name: await exits.enter_async_context(clients.client(name, endpoint_url=server.endpoint_url))
            for name in ("s3", "dynamodb", "sqs", "lambda")
        }
        world = World(server, stack, proxy, services)
        for name in (stack.producer, stack.worker):
            function = await world.lambda_.get_function_configuration(FunctionName=name)
            more = {f"AWS_ENDPOINT_URL_{each}": proxy.url for each in ("S3", "SQS", "DYNAMODB", "EVENTBRIDGE")}
            variables = {**function["Environment"]["Variables"], **more}
            await world.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        yield world


def files_of(seed: int, draw: random.Random) -> list[File]:
    """Draw up to five files, one of which may be refused."""
    files = []
    for number in range(draw.randint(1, 5)):
        key = f"uploads/chaos-{seed}-{number}.csv"
        if number and draw.random() < 0.15:
            files.append(File(key, b"a,b\n1,2\n", set(), 0, is_refused=True))
            continue
        mails, lines, rejected = set(), ["name,mail,phone"], 0
        for row in range(draw.choice([0, 1, 40, 700, 3_000])):
            if draw.random() < 0.02:
                lines.append(f",nobody{row}@chaos.test,1")
                rejected += 1
            else:
                mails.add(f"u{row}.{number}.{seed}@chaos.test")
                lines.append(f"User {row},u{row}.{number}.{seed}@chaos.test,{row}")
        files.append(File(key, ("\n".join(lines) + "\n").encode(), mails, rejected))
    return files


async def run_scenario(world: World, seed: int) -> None:
    """Run the scenario of a seed. Raises `ChaosError`."""
    draw = random.Random(seed)
    files = files_of(seed, draw)
    await world.forget()
    weather = world.proxy.weather
    weather.share = draw.choice([0.0, 0.02, 0.1, 0.3])
    weather.kinds = tuple(draw.sample(KINDS, draw.randint(1, len(KINDS))))
    disturbances = [
        asyncio.create_task(each) for each in (_signals(world, draw), _outages(world, draw), _check(world, seed))
    ]
    try:
        for file in files:
            await asyncio.sleep(draw.uniform(0, 1))
            await world.s3.put_object(Bucket=world.stack.bucket, Key=file.key, Body=file.body)
        await asyncio.sleep(draw.choice([2, 5, 12]))
    finally:
        for task in disturbances[:2]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        weather.clear()
    try:
        await _settled(world, files, seed)
    finally:
        disturbances[2].cancel()
        with suppress(asyncio.CancelledError):
            await disturbances[2]
    await _compare(world, files, seed)
    world.report.rows += sum(len(file.mails) + file.rejected for file in files)


async def _signals(world: World, draw: random.Random) -> None:
    """Kill functions, or stop them for a while, at any moment."""
    often = draw.choice([0.3, 1.0, 5.0, 1_000.0])
    while True:
        await asyncio.sleep(draw.expovariate(1 / often))
        functions = world.functions()
        if not functions:
            continue
        pid, name = draw.choice(functions)
        kind = name.rpartition("-")[2]
        if draw.random() < 0.5:
            world.report.signals[f"SIGKILL {kind}"] += send(pid, signal.SIGKILL)
        elif send(pid, signal.SIGSTOP):
            world.report.signals[f"SIGSTOP {kind}"] += 1
            try:
                await asyncio.sleep(draw.uniform(0, 3))
            finally:
                send(pid, signal.SIGCONT)


async def _outages(world: World, draw: random.Random) -> None:
    """Let a service not answer for a while."""
    often = draw.choice([2.0, 10.0, 1_000.0])
    while True:
        await asyncio.sleep(draw.expovariate(1 / often))
        service, seconds = draw.choice(["s3", "sqs", "dynamodb", "events"]), draw.choice([0.5, 3.0, 30.0])
        world.proxy.weather.outages[service] = time.monotonic() + seconds
        world.report.signals[f"outage {service}"] += 1


async def _check(world: World, seed: int) -> None:
    """Look at the ledger all the time: rows read = written + rejected + superseded + in flight."""
    while True:
        for ingestion, account in (await world.accounts(seed)).items():
            if account.entry:
                counts = account.counts()
                world.report.checks += 1
                parts = sum(counts[name] for name in ("written", "rejected", "superseded", "inFlight"))
                if counts["read"] != parts or min(counts.values()) < 0:
                    raise ChaosError(f"{ingestion}: {counts}")
        await asyncio.sleep(0.3)


async def _settled(world: World, files: list[File], seed: int) -> None:
    """Wait until each file's account has ended, and send back what failed every attempt."""
    deadline = time.monotonic() + SECONDS
    waiting: set[str] = set()
    while time.monotonic() < deadline:
        accounts = list((await world.accounts(seed)).values())
        ended = {account.entry["key"] for account in accounts if "ended" in account.entry}
        waiting = {file.key for file in files} - ended
        waiting |= {account.entry.get("key", "?") for account in accounts if "ended" not in account.entry}
        if not waiting:
            return
        world.report.redriven += await world.redrive()
        await asyncio.sleep(0.5)
    raise ChaosError(f"seed {seed}: after {SECONDS} s these have not ended: {', '.join(sorted(waiting))}")


async def _compare(world: World, files: list[File], seed: int) -> None:
    """Compare table and ledger with the files. Raises `ChaosError`."""
    mails = (item["email"]["S"] for item in await world.items())
    found = Counter(mail for mail in mails if mail.endswith(f".{seed}@chaos.test"))
    expected = {mail for file in files for mail in file.mails}
    if missing := expected - found.keys():
        raise ChaosError(f"seed {seed}: {len(missing):,} rows are missing, such as {min(missing)}")
    if more := found.keys() - expected:
        raise ChaosError(f"seed {seed}: {len(more):,} items are of no row, such as {min(more)}")
    if twice := [mail for mail, count in found.items() if count > 1]:
        raise ChaosError(f"seed {seed}: {len(twice):,} rows are there twice, such as {min(twice)}")
    accounts = {account.entry["key"]: account for account in (await world.accounts(seed)).values() if account.entry}
    for file in files:
        counts = accounts[file.key].counts()
        wanted = (len(file.mails) + file.rejected, len(file.mails), file.rejected, 0)
        if not file.is_refused and tuple(counts[n] for n in ("read", "written", "rejected", "inFlight")) != wanted:
            raise ChaosError(f"seed {seed}: {file.key}: the ledger has {counts}, the file {wanted}")
        status = accounts[file.key].entry["status"]
        right = "failed" if file.is_refused else "done_with_rejects" if file.rejected else "done"
        if status != right:
            raise ChaosError(
                f"seed {seed}: {file.key} is {status}, and should be {right}: {accounts[file.key].entry['reason']}"
            )
