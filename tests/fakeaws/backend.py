"""The services with a JSON protocol behind one endpoint: bytes of a request in, a reply out."""

from typing import Any

from tests.fakeaws.dynamodb import DynamoDB
from tests.fakeaws.errors import Refusal
from tests.fakeaws.protocol import JsonReply, document_of, error_reply, json_reply, only
from tests.fakeaws.sqs import Sqs


class Backend:
    """DynamoDB, SQS and EventBridge; without the first two, their tables or queues do not exist."""

    def __init__(self, dynamodb: DynamoDB | None = None, sqs: Sqs | None = None) -> None:
        self.dynamodb = dynamodb or DynamoDB({})
        self.sqs = sqs or Sqs({})
        self.events: list[dict[str, Any]] = []
        """Entries of PutEvents, in order."""

    def answer(self, target: str, body: bytes, now: float) -> JsonReply:
        """Answer a request: `target` is its X-Amz-Target."""
        service, _, operation = target.partition(".")
        try:
            if service == "DynamoDB_20120810":
                return json_reply(target, 200, self.dynamodb.call(operation, body, now))
            if service == "AmazonSQS":
                return json_reply(target, 200, self.sqs.call(operation, body, now))
            if target == "AWSEvents.PutEvents":
                return json_reply(target, 200, self._put_events(document_of(body)))
            raise Refusal("UnknownOperationException", "")
        except Refusal as refusal:
            return error_reply(target, refusal)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            said = f"the request is not shaped as {operation} demands: {type(error).__name__} {error}"
            return error_reply(target, Refusal("SerializationException", said))

    def _put_events(self, request: dict[str, Any]) -> dict[str, Any]:
        only(request, frozenset({"Entries"}))
        for entry in request["Entries"]:
            only(entry, frozenset({"Source", "DetailType", "Detail"}))
        self.events += request["Entries"]
        return {
            "FailedEntryCount": 0,
            "Entries": [{"EventId": f"event-{number}"} for number in range(len(request["Entries"]))],
        }
