"""Deploy a stack through CloudFormation, and find one that is there. Works with any endpoint, AWS itself included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.deployment import clients
from engine.deployment.stacks import DeploymentError, Stacks
from engine.errors import MillpondError

STAGE = "prod"

_POLL_SECONDS = 0.2


class StackError(MillpondError):
    """A stack cannot be deployed or found; the message says which and why, in one line."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What a deployed stack consists of, from its outputs.

    `bucket` is where files arrive, under `uploads_prefix`. It may be one that exists; `rejects_bucket` is the stack's.
    """

    name: str
    bucket: str
    rejects_prefix: str
    queue_url: str
    dead_letter_queue_url: str
    failure_queue_url: str
    table: str
    producer: str
    worker: str
    query: str
    api_id: str
    api_url: str
    uploads_prefix: str
    rejects_bucket: str
    ledger: str | None = None
    """The ledger's table; None: the stack is of a version that had none."""
    span_queue_url: str | None = None
    span_dead_letter_queue_url: str | None = None
    """The queues of spans; None: the stack is of a version that had none."""

    @property
    def uploads_url(self) -> str:
        """The address under which files arrive."""
        return f"s3://{self.bucket}/{self.uploads_prefix}"

    @property
    def rejects_url(self) -> str:
        """The address under which rejects are stored."""
        return f"s3://{self.rejects_bucket}/{self.rejects_prefix}"


async def deploy(
    name: str,
    template: str,
    parameters: Mapping[str, str],
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
) -> Stack:
    """Deploy the stack `name` and wait until it is complete; raises `StackError` with the resource that failed."""
    async with clients.client("cloudformation", endpoint_url=endpoint_url, region=region) as cloudformation:
        stacks = Stacks(cloudformation, _POLL_SECONDS)
        try:
            change_set = await stacks.plan(name, template, parameters, {})
            if change_set is not None:
                await stacks.execute(change_set, lambda _resource, _status: None)
        except DeploymentError as error:
            raise StackError(str(error)) from error
        return await _stack(stacks, name, endpoint_url)


async def find(name: str, *, endpoint_url: str | None = None, region: str | None = None) -> Stack:
    """The deployed stack `name`; raises `StackError` when it is not there or not one of ours."""
    async with clients.client("cloudformation", endpoint_url=endpoint_url, region=region) as cloudformation:
        stacks = Stacks(cloudformation)
        if await stacks.status(name) is None:
            place = cloudformation.meta.region_name + (f" at {endpoint_url}" if endpoint_url else "")
            raise StackError(f"There is no stack named {name} in {place}: give --region, or --stack, if it is another.")
        return await _stack(stacks, name, endpoint_url)


async def _stack(stacks: Stacks, name: str, endpoint_url: str | None) -> Stack:
    outputs = await stacks.outputs(name)
    try:
        api_id = outputs["ApiId"]
        # The host name in ApiUrl is that of AWS; every local AWS answers for it under this path.
        local_url = f"{(endpoint_url or '').rstrip('/')}/_aws/execute-api/{api_id}/{STAGE}"
        return Stack(
            name=name,
            bucket=outputs["BucketName"],
            rejects_prefix=outputs["RejectsPrefix"],
            queue_url=outputs["QueueUrl"],
            dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
            failure_queue_url=outputs["FailureQueueUrl"],
            table=outputs["TableName"],
            producer=outputs["ProducerFunctionName"],
            worker=outputs["WorkerFunctionName"],
            query=outputs["QueryFunctionName"],
            api_id=api_id,
            api_url=outputs["ApiUrl"] if endpoint_url is None else local_url,
            # A stack of an earlier version has one bucket, and no output that names its prefix.
            uploads_prefix=outputs.get("UploadsUrl", "s3://bucket/uploads/").split("/", 3)[3],
            rejects_bucket=outputs.get("RejectsBucket", outputs["BucketName"]),
            ledger=outputs.get("LedgerTable"),
            span_queue_url=outputs.get("SpanQueueUrl"),
            span_dead_letter_queue_url=outputs.get("SpanDeadLetterQueueUrl"),
        )
    except KeyError as missing:
        status = await stacks.status(name)
        raise StackError(f"Stack {name} ({status}) is not a Millpond stack: it has no output {missing}.") from None
