"""How many messages are in the queues of a stack, approximately: what SQS itself knows."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.deployment.stack import Stack


class Queues(NamedTuple):
    """Messages in each queue of a stack, of all files."""

    records: int
    dead_letters: int
    failures: int

    @property
    def document(self) -> dict[str, int]:
        """The counts as JSON has them."""
        return {"recordQueue": self.records, "deadLetterQueue": self.dead_letters, "failureQueue": self.failures}


async def depths(sqs: Any, stack: Stack) -> Queues:
    """Return how many messages are in the stack's queues."""
    urls = (stack.queue_url, stack.dead_letter_queue_url, stack.failure_queue_url)
    return Queues(*[await _depth(sqs, url) for url in urls])


async def _depth(sqs: Any, queue_url: str) -> int:
    """Return how many messages are in a queue: visible, in flight or delayed."""
    reply = await sqs.get_queue_attributes(
        QueueUrl=queue_url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )
    return sum(int(value) for value in reply["Attributes"].values())
