"""What S3, SNS, SQS and EventBridge really put around an event is what the producer reads."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from engine.handlers import producer
from tests.builders.invocations import Context, Json, event_of, failures, sqs_record
from tests.contract.clouds import Cloud

KEY = "uploads/a b+ü.csv"
CSV = b"name,mail\nJohn,j@x.org\n"


@pytest.fixture
def events(moto: Cloud) -> Iterator[Any]:
    """Clients of SNS and EventBridge at the same place."""
    clients = [boto3.client(name, endpoint_url=moto.endpoint, region_name="us-east-1") for name in ("sns", "events")]
    yield clients
    for client in clients:
        client.close()


def arn_of(cloud: Cloud, queue_url: str) -> str:
    attributes = cloud.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    return str(attributes["QueueArn"])


def bucket_that_tells(cloud: Cloud, **where: Any) -> str:
    bucket = cloud.bucket()
    cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=where)
    return bucket


def uploaded(cloud: Cloud, bucket: str, queue_url: str) -> list[Json]:
    """Upload a file; return the messages that announce it, as the event source mapping hands them over."""
    cloud.put(bucket, KEY, CSV)
    return [sqs_record(message["MessageId"], message["Body"]) for message in cloud.receive_all(queue_url)]


@pytest.fixture
def records(moto: Cloud, env: pytest.MonkeyPatch) -> str:
    """The record queue of the producer."""
    url = moto.queue()
    env.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    env.setenv("QUEUE_URL", url)
    return url


def ingested(cloud: Cloud, messages: list[Json], records: str) -> list[str]:
    """Invoke the producer with these messages; return the keys of the objects that it has read."""
    assert failures(producer.handler(event_of(*messages), Context())) == []
    return [json.loads(message["Body"])["object"]["key"] for message in cloud.receive_all(records)]


def test_notification_in_sqs(moto: Cloud, records: str) -> None:
    queue = moto.queue()
    tell = {"QueueArn": arn_of(moto, queue), "Events": ["s3:ObjectCreated:*"]}
    messages = uploaded(moto, bucket_that_tells(moto, QueueConfigurations=[tell]), queue)
    assert [("Records" in json.loads(each["body"])) for each in messages] == [False, True]  # the first one is a test
    assert ingested(moto, messages, records) == [KEY]


@pytest.mark.parametrize("raw", [False, True], ids=["envelope", "raw delivery"])
@pytest.mark.parametrize("way", ["S3", "EventBridge"])
def test_event_in_sns_in_sqs(moto: Cloud, events: Any, records: str, way: str, raw: bool) -> None:
    sns, eventbridge = events
    topic, queue = sns.create_topic(Name=f"topic-{way}-{raw}")["TopicArn"], moto.queue()
    attributes = {"RawMessageDelivery": str(raw).lower()}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn_of(moto, queue), Attributes=attributes)
    if way == "S3":
        tell = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
        messages = uploaded(moto, bucket_that_tells(moto, TopicConfigurations=[tell]), queue)
    else:
        # moto's EventBridge has no topics for targets: the event takes the way from a queue to the topic by hand.
        first = moto.queue()
        eventbridge.put_rule(Name="uploads", EventPattern='{"source": ["aws.s3"]}')
        eventbridge.put_targets(Rule="uploads", Targets=[{"Id": "1", "Arn": arn_of(moto, first)}])
        bucket = bucket_that_tells(moto, EventBridgeConfiguration={})
        for message in uploaded(moto, bucket, first):
            sns.publish(TopicArn=topic, Message=message["body"])
        messages = [sqs_record(each["MessageId"], each["Body"]) for each in moto.receive_all(queue)]
    assert {"TopicArn" in json.loads(each["body"]) for each in messages} == {not raw}
    assert ingested(moto, messages, records) == [KEY]


def test_eventbridge_in_sqs(moto: Cloud, events: Any, records: str) -> None:
    _, eventbridge = events
    queue = moto.queue()
    eventbridge.put_rule(Name="uploads", EventPattern='{"source": ["aws.s3"]}')
    eventbridge.put_targets(Rule="uploads", Targets=[{"Id": "1", "Arn": arn_of(moto, queue)}])
    messages = uploaded(moto, bucket_that_tells(moto, EventBridgeConfiguration={}), queue)
    assert ingested(moto, messages, records) == [KEY]
