"""The services with a JSON protocol behind one endpoint: bytes of a request in, a reply out."""

from tests.fakeaws.dynamodb import DynamoDB
from tests.fakeaws.errors import Refusal
from tests.fakeaws.protocol import JsonReply, error_reply, json_reply
from tests.fakeaws.sqs import Sqs


class Backend:
    """DynamoDB and SQS; without either, its tables or queues do not exist."""

    def __init__(self, dynamodb: DynamoDB | None = None, sqs: Sqs | None = None) -> None:
        self.dynamodb = dynamodb or DynamoDB({})
        self.sqs = sqs or Sqs({})

    def answer(self, target: str, body: bytes, now: float) -> JsonReply:
        """Answer a request: `target` is its X-Amz-Target."""
        service, _, operation = target.partition(".")
        try:
            if service == "DynamoDB_20120810":
                return json_reply(target, 200, self.dynamodb.call(operation, body, now))
            if service == "AmazonSQS":
                return json_reply(target, 200, self.sqs.call(operation, body, now))
            raise Refusal("UnknownOperationException", "")
        except Refusal as refusal:
            return error_reply(target, refusal)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            said = f"the request is not shaped as {operation} demands: {type(error).__name__} {error}"
            return error_reply(target, Refusal("SerializationException", said))
