"""Millpond itself, called as Lambda calls it: the handlers of the package, event by event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.contenders.window import Context, Inside, Spec, measure, read_json, read_spec


def work(spec: Spec) -> Callable[[], int]:
    """Return a call of the worker: an SQS event, until DynamoDB has acknowledged every row."""
    from engine.handlers.worker import handler

    event, context, records = read_json(spec["event"]), Context(), spec["records_per_call"]

    def once() -> int:
        answer = handler(event, context)
        if answer["batchItemFailures"]:
            raise RuntimeError(f"not all was written: {answer}")
        return int(records)

    return once


def produce(spec: Spec) -> Callable[[], int]:
    """Return a call of the producer: an S3 event, until SQS has acknowledged every message."""
    from engine.handlers.producer import handler

    event, context = read_json(spec["event"]), Context()

    def once() -> int:
        answer = handler(event, context)
        if answer["statusCode"] != 200 or answer["rejectedRows"]:
            raise RuntimeError(f"not all was sent: {answer}")
        return int(answer["validRows"])

    return once


def query(spec: Spec) -> Callable[[], int]:
    """Return a call of the query function: ``GET /users/{email}``."""
    from engine.handlers.query import handler

    event, context = read_json(spec["event"]), Context()

    def once() -> int:
        answer = handler(event, context)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"no answer: {answer}")
        return 1

    return once


def chain(spec: Spec, inside: Inside) -> Callable[[], int]:
    """Return a call of producer and worker, one after the other, with the queue in between."""
    from benchmarks.contenders.poller import drain
    from engine.handlers.producer import handler as producer
    from engine.handlers.worker import handler as worker

    event, context = read_json(spec["event"]), Context()

    def once() -> int:
        inside.time(lambda: producer(event, context))
        return drain(lambda batch: inside.time(lambda: _written(worker, batch, context)))

    return once


def _written(worker: Callable[[Any, Context], Any], batch: Any, context: Context) -> None:
    answer = worker(batch, context)
    if answer["batchItemFailures"]:
        raise RuntimeError(f"not all was written: {answer}")


def main() -> None:
    """Do the task."""
    spec = read_spec()
    if spec["task"] == "chain":
        inside = Inside()
        measure(spec, chain(spec, inside), inside)
    else:
        measure(spec, {"work": work, "produce": produce, "query": query}[spec["task"]](spec))


if __name__ == "__main__":
    main()
