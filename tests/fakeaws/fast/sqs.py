"""SQS's side: every call is the model's; messages are counted on their way in, and kept only if asked for.

Every call is parsed: the bodies that are billed are inside, and MD5 sums of them go back, as clients check.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fakeaws.errors import Refusal
from tests.fakeaws.fast.contents import Contents
from tests.fakeaws.fast.http import json_bytes
from tests.fakeaws.fast.state import Counts, Settings
from tests.fakeaws.protocol import document_of, error_reply, json_reply
from tests.fakeaws.queues import Message, Queue
from tests.fakeaws.sqs import Entry, Sqs

Json = dict[str, Any]


class PassingQueue(Queue):
    """A queue that keeps no message."""

    def send(
        self, body: str, attributes: Json, now: float, delay: float | None = None, group: str | None = None
    ) -> Message:
        """Take a message."""
        self.taken += 1
        return Message("", {}, f"message-{self.taken}")


class KeepingQueue(Queue):
    """A queue whose messages all say that they were sent at one time, so that repeated runs do the same."""

    def __init__(self, sent: float) -> None:
        super().__init__()
        self._sent = sent

    def send(
        self, body: str, attributes: Json, now: float, delay: float | None = None, group: str | None = None
    ) -> Message:
        """Take a message."""
        message = super().send(body, attributes, now, delay, group)
        message.sent = self._sent
        return message


class Queues:
    """Takes messages, and gives them back if they are kept."""

    def __init__(self, contents: Contents, settings: Settings, counts: Counts) -> None:
        self._contents, self._settings, self._counts = contents, settings, counts
        self._model = Sqs({name: self._open(name) for name in contents.queues})

    def _open(self, name: str) -> Queue:
        if self._contents.queue is not None:
            return self._contents.queue(name)
        return KeepingQueue(self._contents.sent) if self._settings.keep_messages else PassingQueue()

    def answer(self, target: str, body: bytes, now: float, *, check: bool) -> bytes:
        """Answer one call; `check` what is sent in full or count only."""
        operation = target.partition(".")[2]
        try:
            if operation == "SendMessageBatch":
                reply = self._send(document_of(body), now, check=check)
            elif operation == "SendMessage":
                reply = self._send_one(document_of(body), now, check=check)
            else:
                reply = self._model.call(operation, body, now)
        except Refusal as refusal:
            self._counts.violation(f"{operation}: {refusal.message}")
            return json_bytes(target, error_reply(target, refusal))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._counts.violation(f"not a {operation}: {type(error).__name__} {error}")
            return json_bytes(target, error_reply(target, Refusal("SerializationException", str(error))))
        return json_bytes(target, json_reply(target, 200, reply))

    def _send(self, request: Json, now: float, *, check: bool) -> Json:
        entries = self._model.checked(request)
        payload = sum(entry.size for entry in entries)
        queue = self._model.queue(request["QueueUrl"])
        reply = self._model.send(queue, self._counted(entries, check=check), now, trusted=not check)
        self._counts.messages += len(entries)
        self._counts.message_bytes += payload
        self._counts.sqs_units += self._contents.units(payload)
        for failed in reply.get("Failed", ()):
            self._counts.violation(f"a message that is refused: {failed['Code']}")
        return reply

    def _counted(self, entries: list[Entry], *, check: bool) -> Iterator[Entry]:
        """Yield the entries, each of them counted: one by one, while the processor's cache still holds it."""
        for entry in entries:
            # What the messages say of themselves is not believed.
            self._counts.records += self._contents.records(entry.encoded)
            if check:
                self._look_inside(entry)
            yield entry

    def _send_one(self, request: Json, now: float, *, check: bool) -> Json:
        """Answer a SendMessage as a batch of one."""
        url = request.pop("QueueUrl")
        reply = self._send({"QueueUrl": url, "Entries": [{"Id": "0", **request}]}, now, check=check)
        if "Failed" in reply:
            raise Refusal(reply["Failed"][0]["Code"], reply["Failed"][0].get("Message", ""))
        return {name: value for name, value in reply["Successful"][0].items() if name != "Id"}

    def _look_inside(self, entry: Entry) -> None:
        """Check that there are as many records as the message says, and note which if asked for."""
        try:
            numbers = self._contents.numbers(entry.encoded)
        except ValueError:
            self._counts.violation("a message that is not of records")
            return
        if len(numbers) != (counted := self._contents.records(entry.encoded)):
            self._counts.violation(f"a message of {len(numbers)} rows was counted as {counted}")
        said = entry.attributes.get("records")
        if said is not None and len(numbers) != int(said["StringValue"]):
            self._counts.violation(f"a message of {len(numbers)} rows says that it has {said['StringValue']}")
        if self._settings.keys:
            self._counts.keys.update(numbers)
