"""Messages of SNS and SQS around an event, in the shapes that AWS documents.

https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html, .../with-sqs.html,
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

import json

from tests.builders.invocations import Json, sqs_record

TOPIC = "arn:aws:sns:us-east-1:123456789012:uploads"

S3_TEST_EVENT: Json = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-04-04T00:00:00.000Z",
    "Bucket": "bucket",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
}
"""What S3 sends to a topic or a queue once when a notification is configured."""


def _text(document: str | Json) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def sns_record(message: str | Json) -> Json:
    """A message as SNS hands it to a function that is subscribed to the topic."""
    return {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": f"{TOPIC}:21be56ed-a058-49f5-8c98-aedd2564c486",
        "Sns": {
            "Type": "Notification",
            "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
            "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification",
            "Message": _text(message),
            "Timestamp": "2026-04-04T00:00:01.000Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertUrl": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ac565b8b.pem",
            "UnsubscribeUrl": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
            "MessageAttributes": {},
        },
    }


def sns_envelope(message: str | Json) -> Json:
    """A message as SNS puts it into a queue without raw delivery: names and attributes differ from `sns_record`."""
    return {
        "Type": "Notification",
        "MessageId": "d88d4479-6ec0-54fe-b63f-1cf9df4bb16e",
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": _text(message),
        "Timestamp": "2026-04-04T00:00:01.000Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ac565b8b.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    }


def subscription_confirmation() -> Json:
    """What SNS puts into a queue of another account that is to be subscribed."""
    return {
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe to the topic. To confirm the subscription, visit the SubscribeURL.",
        "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
        "Timestamp": "2026-04-04T00:00:00.000Z",
    }


def sqs_message(number: int, body: str | Json) -> Json:
    """The message of that number in a queue of events, as the event source mapping hands it over."""
    return sqs_record(sqs_id(number), body)


def sqs_id(number: int) -> str:
    """The id of such a message."""
    return f"059f36b4-87a3-44ab-83d2-{number:012}"
