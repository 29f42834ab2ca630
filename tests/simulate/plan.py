"""A seed -> everything that a run is: schema, files, settings, faults. Pure.

Each part is drawn from a stream of its own, so leaving out a file or a kind of fault changes nothing of the others:
that is what a failure is shrunk by.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.simulate.files import FORMATS, SCHEMAS, File, make_file

FAULTS: Mapping[str, tuple[float, tuple[float, ...]]] = {
    # The share of runs that have it, and the rates that are drawn from (of calls, messages, invocations or events).
    "killed": (0.35, (0.1, 0.3, 0.6)),  # an invocation ends at a call or at any moment
    "answer lost": (0.15, (0.1, 0.3)),  # an invocation is done, and its messages come again
    "reset": (0.2, (0.02, 0.1, 0.25)),  # the connection breaks before the work is done
    "lost reply": (0.3, (0.02, 0.1, 0.25)),  # the work is done, and the connection breaks
    "error": (0.25, (0.02, 0.1, 0.3)),  # a server error, before or after the work
    "throttled": (0.2, (0.05, 0.2, 0.4)),  # a call is refused as a whole
    "unprocessed": (0.25, (0.1, 0.4)),  # items of a batch are left
    "failed entries": (0.25, (0.1, 0.4)),  # entries of a batch are refused
    "unmentioned": (0.25, (0.2, 0.5)),  # the reply says nothing of entries, which are there or not
    "garbage": (0.15, (0.02, 0.1)),  # a reply that nobody can read: a proxy's page, half of one, a wrong checksum
    "slow": (0.15, (0.02, 0.1)),  # a reply that takes seconds
    "silent": (0.1, (0.01, 0.05)),  # no reply at all
    "broken body": (0.35, (0.1, 0.4)),  # an object breaks off on its way
    "stale": (0.3, (1.0,)),  # servers close connections that are idle
    "slow table": (0.2, (2.0, 20.0)),  # write units a second
    "outage": (0.02, (300.0, 3_600.0)),  # seconds for which one service fails in each call
    "duplicated": (0.25, (0.1, 0.3)),  # a message is received again while it is in flight
    "unordered": (0.5, (1.0,)),  # messages are received in any order
    "visibility": (0.1, (1.0,)),  # messages come back while an invocation is at work on them
    "late events": (0.3, (1.0,)),  # events are late, out of order and repeated
    "expired": (0.1, (1.0,)),  # credentials expire in the middle
    "wrong clock": (0.2, (1.0,)),  # clocks of functions are up to 100 s wrong
    "ledger": (0.2, (0.1, 0.3)),  # the ledger fails
    "events fail": (0.2, (0.2, 0.6)),  # PutEvents fails, or refuses the entry
    "refused items": (0.15, (0.1,)),  # items that DynamoDB refuses
    "poison": (0.15, (1.0,)),  # messages that nobody can read
}


@dataclass(frozen=True)
class Settings:
    """What the stack is deployed with, and the engine's sizes, so small that small files are like huge ones."""

    records_per_message: int
    max_rejects: str
    producer_seconds: float
    worker_seconds: float
    worker_batch: int
    workers: int
    producers: int
    by_queue: bool
    """Whether events come by a queue rather than by an asynchronous invocation."""
    versioned: bool
    split: bool
    span_bytes: int
    chunk_bytes: int
    piece_seconds: float
    """How long S3 takes for each chunk."""
    sample_bytes: int
    fan_out: int


@dataclass(frozen=True)
class Plan:
    """What happens in one run."""

    seed: int
    schema: str
    files: tuple[File, ...]
    settings: Settings
    faults: Mapping[str, float]

    def without(self, *faults: str) -> Plan:
        """Return the plan without these kinds of faults."""
        return replace(self, faults={kind: rate for kind, rate in self.faults.items() if kind not in faults})

    def without_file(self, number: int) -> Plan:
        """Return the plan without one of its files."""
        return replace(self, files=tuple(file for file in self.files if file.number != number))

    def stream(self, name: str) -> random.Random:
        """Return the random numbers for one purpose."""
        return random.Random(f"{self.seed} {name}")


def plan_of(seed: int) -> Plan:
    """Return the plan that a seed stands for."""
    draw = random.Random(f"{seed} plan")
    schema = draw.choice(list(SCHEMAS))
    settings = _settings(random.Random(f"{seed} settings"))
    faults = _faults(seed)
    form = draw.choice(FORMATS)
    refused = "refused items" in faults
    keys = [f"uploads/{name}" for name in ("a", "b", "ä ö+1")]
    count = draw.choice([1, 1, 1, 1, 2, 2, 3])
    files = tuple(
        make_file(random.Random(f"{seed} file {number}"), number, schema, form, draw.choice(keys), refused=refused)
        for number in range(count)
    )
    if draw.random() < 0.3:  # another one under its key, while it is read
        later = make_file(random.Random(f"{seed} later"), count, schema, form, files[0].stem, refused=refused)
        files = (*files, replace(later, at=files[0].at + draw.choice([0.05, 0.1, 0.2, 0.5, 1.0])))
        count += 1
    if draw.random() < 0.15:  # the same bytes once more, so their ETag says nothing
        again = replace(files[0], number=count, at=files[0].at + draw.choice([1.0, 2.0, 10.0, 100.0]))
        files = (*files, again)
    return Plan(seed, schema, files, settings, faults)


MOST_RUNS = 3
"""Of the producer on one file, about."""

LARGEST_FILE = 4_000
"""Bytes, about."""


def _settings(draw: random.Random) -> Settings:
    chunk = draw.choice([64, 150, 400, 4_000])
    sample = draw.choice([100, 200, 400])
    split = draw.random() < 0.3
    seconds = draw.choice([4.0, 9.0, 30.0, 60.0])
    # A rest that is delivered twice is read on twice, so many runs one after the other would add up to thousands.
    slowest = MOST_RUNS * seconds * chunk / LARGEST_FILE
    return Settings(
        records_per_message=draw.choice([1, 2, 3, 7, 20]),
        max_rejects=draw.choice(["50%", "50%", "100%", "3"]),
        producer_seconds=seconds,
        worker_seconds=draw.choice([10.0, 20.0, 60.0]),
        worker_batch=draw.choice([1, 3, 10]),
        workers=draw.choice([1, 2, 3]),
        producers=draw.choice([1, 2]),
        by_queue=draw.random() < 0.4,
        versioned=draw.random() < 0.5,
        split=split,
        span_bytes=draw.choice([2, 3, 5]) * sample if split else 1_000_000,
        chunk_bytes=chunk,
        piece_seconds=min(slowest, draw.choice([0.01, 0.01, 0.2, 1.0])),
        sample_bytes=sample,
        fan_out=draw.choice([2, 3, 5, 100]),
    )


def _faults(seed: int) -> dict[str, float]:
    if seed % 10 == 0:
        return {}  # nothing goes wrong
    found = {}
    for kind, (share, rates) in FAULTS.items():
        draw = random.Random(f"{seed} fault {kind}")
        if draw.random() < share:
            found[kind] = draw.choice(rates)
    return found
