"""A model of an SQS standard queue: visibility, receive counts, redrive, delays. The time is an argument."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakeaws.errors import Refusal, not_modelled
from tests.fakeaws.message_attributes import attributes_md5

Json = dict[str, Any]


@dataclass(eq=False)
class Message:
    """A message that a queue holds. `attributes` are those of the sender, as sent."""

    body: str
    attributes: Json
    message_id: str = ""
    group: str | None = None
    sent: float = 0.0
    """When the first queue took it: moving to the dead-letter queue changes nothing of it."""
    visible_at: float = 0.0
    turn: int = 0
    """Its place among messages that can be received from the same time on."""
    receive_count: int = 0
    first_received: float | None = None
    handle: str = ""
    """Its name in the queue that holds it."""
    receipt: str = ""
    """The receipt handle of the last receive; empty before the first."""

    def lambda_record(self) -> Json:
        """Return the record that an event source mapping makes of it."""
        return {
            "messageId": self.message_id,
            "receiptHandle": self.receipt,
            "body": self.body,
            "attributes": self.system_attributes(),
            "messageAttributes": {
                name: {"stringValue": value.get("StringValue"), "dataType": value["DataType"]}
                for name, value in self.attributes.items()
            },
            "md5OfBody": _md5(self.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:user-csv-queue",
            "awsRegion": "us-east-1",
        }

    def received(self) -> Json:
        """Return what ReceiveMessage says of it."""
        digest = {"MD5OfMessageAttributes": attributes_md5(self.attributes)} if self.attributes else {}
        attributes = {"MessageAttributes": self.attributes, **digest} if self.attributes else {}
        return {
            "MessageId": self.message_id,
            "ReceiptHandle": self.receipt,
            "MD5OfBody": _md5(self.body),
            "Body": self.body,
            "Attributes": self.system_attributes(),
            **attributes,
        }

    def system_attributes(self) -> dict[str, str]:
        """Return what SQS says of it; times in milliseconds."""
        return {
            "ApproximateReceiveCount": str(self.receive_count),
            "SentTimestamp": str(int(self.sent * 1000)),
            "ApproximateFirstReceiveTimestamp": str(int((self.first_received or 0.0) * 1000)),
            **({"MessageGroupId": self.group} if self.group else {}),
        }


@dataclass
class Queue:
    """A standard queue: messages that can be received, those in flight, and those delayed.

    A message received more than `max_receive_count` times goes to `dead_letters` instead.
    """

    visibility_timeout: float = 30.0
    delay: float = 0.0
    max_receive_count: int | None = None
    dead_letters: Queue | None = None
    batches: list[int] = field(default_factory=list)
    """Entries in each SendMessageBatch."""
    held: dict[str, Message] = field(default_factory=dict)
    """Every message that is not deleted, by handle."""
    taken: int = 0
    """Messages sent to it so far."""
    deleted: int = 0

    def __post_init__(self) -> None:
        """Begin empty."""
        # By the time from which a message can be received. Entries that a later one replaces are skipped.
        self._due: list[tuple[float, int, Message]] = []
        self._order = itertools.count()

    @property
    def messages(self) -> list[Message]:
        """All that is in the queue, in the order of sending."""
        return list(self.held.values())

    def send(
        self, body: str, attributes: Json, now: float, delay: float | None = None, group: str | None = None
    ) -> Message:
        """Take a message; it can be received after `delay` seconds (the queue's own if None)."""
        self.taken += 1
        message = Message(body, attributes, f"message-{self.taken}", group, now)
        self._hold(message, now + (self.delay if delay is None else delay))
        return message

    def receive(self, most: int, now: float, visibility: float | None = None) -> list[Message]:
        """Receive up to `most` messages; they stay hidden for `visibility` seconds (the queue's own if None)."""
        received: list[Message] = []
        while len(received) < most and (due := self.next_visible()) is not None and due <= now:
            _, _, message = heapq.heappop(self._due)
            if self.max_receive_count is not None and message.receive_count >= self.max_receive_count:
                del self.held[message.handle]
                if self.dead_letters is not None:
                    self.dead_letters.adopt(message, now)
                continue
            message.receive_count += 1
            message.first_received = now if message.first_received is None else message.first_received
            message.receipt = f"{message.handle}/{message.receive_count}"
            received.append(message)
        for message in received:
            self._hide(message, now + (self.visibility_timeout if visibility is None else visibility))
        return received

    def adopt(self, message: Message, now: float) -> None:
        """Take a message over from another queue, as redrive does."""
        self._hold(message, now)

    def delete(self, receipt: str) -> None:
        """Delete the message of a receipt handle. That of an earlier receive does nothing, as often with SQS."""
        message = self.held.get(receipt.rpartition("/")[0])
        if message is not None and message.receipt == receipt:
            del self.held[message.handle]
            self.deleted += 1

    def change_visibility(self, receipt: str, seconds: float, now: float) -> None:
        """Hide the message of a receipt handle for so many seconds from now; 0 shows it at once. Raises `Refusal`."""
        message = self.held.get(receipt.rpartition("/")[0])
        if message is None or message.receipt != receipt or message.visible_at <= now:
            raise Refusal("MessageNotInflight", "The message referred to is not in flight.")
        self._hide(message, now + seconds)

    def purge(self) -> None:
        """Delete every message."""
        self.held.clear()

    def next_visible(self) -> float | None:
        """Return when the next message can be received (perhaps in the past); None if there is none."""
        while self._due:
            visible_at, turn, message = self._due[0]
            if message.turn == turn and self.held.get(message.handle) is message:
                return visible_at
            heapq.heappop(self._due)
        return None

    def described(self, names: Sequence[str], now: float) -> dict[str, str]:
        """Return the attributes of those names that GetQueueAttributes tells; ``All`` is all of them."""
        told = {name: str(count) for name, count in self.counts(now).items()}
        told |= {"VisibilityTimeout": str(int(self.visibility_timeout)), "DelaySeconds": str(int(self.delay))}
        if unknown := sorted(set(names) - set(told) - {"All"}):
            raise not_modelled(f"queue attribute {unknown[0]}")
        return {name: value for name, value in told.items() if name in names or "All" in names}

    def counts(self, now: float) -> dict[str, int]:
        """Return how many messages can be received, are in flight, and are delayed."""
        hidden = [message for message in self.held.values() if message.visible_at > now]
        delayed = sum(message.receive_count == 0 for message in hidden)
        return {
            "ApproximateNumberOfMessages": len(self.held) - len(hidden),
            "ApproximateNumberOfMessagesNotVisible": len(hidden) - delayed,
            "ApproximateNumberOfMessagesDelayed": delayed,
        }

    def _hold(self, message: Message, visible_at: float) -> None:
        message.handle = f"handle-{next(self._order)}"
        self.held[message.handle] = message
        self._hide(message, visible_at)

    def _hide(self, message: Message, until: float) -> None:
        message.visible_at, message.turn = until, next(self._order)
        heapq.heappush(self._due, (until, message.turn, message))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
