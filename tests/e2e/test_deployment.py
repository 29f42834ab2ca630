"""Stacks by change sets, on the local AWS: made, left alone, changed, put back, taken away."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from engine.cli.deploy import REPOSITORIES
from engine.deployment import registry
from engine.deployment.checkout import TEMPLATE
from engine.deployment.images import FUNCTIONS
from engine.deployment.stacks import DeploymentError, Stacks
from engine.deployment.template import read_template, write_template
from engine.local.packaging import run_from_source
from tests.e2e.conftest import LocalStack

TAGS = {"application": "millpond"}


@dataclass
class Scene:
    """Stacks of a local AWS, and a stack of one's own in it."""

    local: LocalStack
    stacks: Stacks
    name: str
    parameters: dict[str, str]
    template: str
    told: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, resource: str, status: str) -> None:
        self.told.append((resource, status))

    async def deploy(self, **changed: str) -> None:
        changes = await self.stacks.plan(self.name, self.template, {**self.parameters, **changed}, TAGS)
        assert changes is not None
        await self.stacks.execute(changes, self.tell)


@pytest.fixture
async def scene(local_stack: LocalStack) -> AsyncIterator[Scene]:
    own = f"test-{uuid.uuid4().hex[:8]}"
    names = {"BucketPrefix": own, "QueueName": own, "TableName": own}
    runtime = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    template = run_from_source(read_template(TEMPLATE.read_text()), runtime=runtime, python_path=[], parameters=names)
    async with local_stack.client("cloudformation") as cloudformation:
        made = Scene(local_stack, Stacks(cloudformation, 0.1), own, names, write_template(template))
        yield made
        if await made.stacks.status(own) is not None:
            await made.stacks.delete(own, made.tell)


async def test_stack_is_created_with_progress_and_then_up_to_date(scene: Scene) -> None:
    assert await scene.stacks.status(scene.name) is None
    await scene.deploy()
    assert await scene.stacks.status(scene.name) == "CREATE_COMPLETE"
    assert {"Bucket", "Table", "Producer"} <= {resource for resource, _ in scene.told}
    outputs = await scene.stacks.outputs(scene.name)
    assert outputs["TableName"] == scene.name
    assert await scene.stacks.plan(scene.name, scene.template, scene.parameters, TAGS) is None


async def test_plan_names_changes_and_makes_none(scene: Scene) -> None:
    new = await scene.stacks.plan(scene.name, scene.template, scene.parameters, TAGS)
    assert new is not None
    assert new.creates
    assert {"Table", "WorkerRole"} <= {change.resource for change in new.changes}
    await scene.stacks.drop(new)
    assert await scene.stacks.status(scene.name) in (None, "REVIEW_IN_PROGRESS")
    await scene.deploy()
    longer = {**scene.parameters, "LogRetentionDays": "90"}
    changes = await scene.stacks.plan(scene.name, scene.template, longer, TAGS)
    assert changes is not None
    assert not changes.creates
    assert {change.resource for change in changes.changes} >= {"ProducerLogs", "WorkerLogs", "QueryLogs"}
    await scene.stacks.drop(changes)
    assert (await scene.stacks.parameters(scene.name)).get("LogRetentionDays", "30") == "30"
    await scene.deploy(LogRetentionDays="90")
    assert await scene.stacks.status(scene.name) == "UPDATE_COMPLETE"
    assert (await scene.stacks.parameters(scene.name))["LogRetentionDays"] == "90"


QUEUE = {"Type": "AWS::SQS::Queue"}
# What the local AWS fails to make: it is the service behind a custom resource that is not there.
BROKEN = {
    "Type": "Custom::Broken",
    "Properties": {"ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:nothing"},
}


async def test_dropped_plan_leaves_other_change_sets(scene: Scene) -> None:
    first = await scene.stacks.plan(scene.name, scene.template, scene.parameters, TAGS)
    assert first is not None
    second = await scene.stacks.plan(scene.name, scene.template, scene.parameters, TAGS)
    assert second is not None
    await scene.stacks.drop(first)  # the second one still waits in the stack that began with the first
    assert await scene.stacks.status(scene.name) == "REVIEW_IN_PROGRESS"
    third = await scene.stacks.plan(scene.name, scene.template, scene.parameters, TAGS)
    assert third is not None
    await scene.stacks.execute(second, scene.tell)
    await scene.stacks.drop(replace(third, began=True))
    assert await scene.stacks.status(scene.name) == "CREATE_COMPLETE"


async def test_open_api_is_closed_again_by_parameter(scene: Scene) -> None:
    async def served() -> tuple[str, set[str]]:
        api = (await scene.stacks.outputs(scene.name))["ApiId"]
        async with scene.local.client("apigateway") as gateway:
            stage = await gateway.get_stage(restApiId=api, stageName="prod")
            there = await gateway.get_deployments(restApiId=api)
        return stage["deploymentId"], {each["id"] for each in there["items"]}

    await scene.deploy()
    signed, _ = await served()
    await scene.deploy(ApiAuthorization="NONE")
    opened, there = await served()
    assert opened != signed
    assert there == {opened}  # the one in which callers must sign is gone, and the other way round:
    await scene.deploy(ApiAuthorization="AWS_IAM")
    closed, there = await served()
    assert closed != opened
    assert there == {closed}


async def test_failed_resource_is_named_with_reason_and_rolled_back(scene: Scene) -> None:
    scene.parameters = {}
    scene.template = json.dumps({"Resources": {"Queue": QUEUE}})
    await scene.deploy()
    scene.template = json.dumps({"Resources": {"Queue": QUEUE, "Other": QUEUE, "Broken": BROKEN}})
    with pytest.raises(DeploymentError, match=rf"{scene.name} is in UPDATE_ROLLBACK_COMPLETE. Broken: .*not found"):
        await scene.deploy()
    async with scene.local.client("cloudformation") as cloudformation:
        left = await cloudformation.list_stack_resources(StackName=scene.name)
    live = {
        each["LogicalResourceId"]
        for each in left["StackResourceSummaries"]
        if not each["ResourceStatus"].startswith("DELETE")
    }
    assert live == {"Queue"}
    scene.template = json.dumps({"Resources": {"Queue": QUEUE, "Other": QUEUE}})
    await scene.deploy()  # a stack that was put back can be updated again


async def test_stack_after_failed_first_deployment_must_be_destroyed(scene: Scene) -> None:
    scene.parameters = {}
    scene.template = json.dumps({"Resources": {"Queue": QUEUE, "Broken": BROKEN}})
    with pytest.raises(DeploymentError, match=rf"{scene.name} is in ROLLBACK_COMPLETE. Broken: .*not found"):
        await scene.deploy()
    with pytest.raises(DeploymentError, match="destroy it first"):
        await scene.deploy()


async def test_data_is_kept_when_stack_is_deleted(scene: Scene) -> None:
    await scene.deploy()
    await scene.stacks.delete(scene.name, scene.tell)
    assert await scene.stacks.status(scene.name) is None
    async with scene.local.client("dynamodb") as dynamodb, scene.local.client("s3") as s3:
        assert scene.name in (await dynamodb.list_tables())["TableNames"]
        buckets = [bucket["Name"] for bucket in (await s3.list_buckets())["Buckets"]]
        kept = next(bucket for bucket in buckets if bucket.startswith(scene.name))
        await dynamodb.delete_table(TableName=scene.name)
        await s3.delete_bucket(Bucket=kept)
    with pytest.raises(DeploymentError, match="There is no stack"):
        await scene.stacks.delete(scene.name, scene.tell)


async def test_repositories_are_created_empty(scene: Scene) -> None:
    name = f"{scene.name}-images"
    changes = await scene.stacks.plan(name, REPOSITORIES.read_text(), {"Prefix": scene.name}, TAGS)
    assert changes is not None
    await scene.stacks.execute(changes, scene.tell)
    targets = registry.repositories(await scene.stacks.outputs(name))
    assert {function: uri.rpartition("/")[2] for function, uri in targets.items()} == {
        function: f"{scene.name}-{function}" for function in FUNCTIONS
    }
    async with scene.local.client("ecr") as ecr:
        assert await registry.pushed(ecr, targets["worker"], "no-such-tag") is None
    await scene.stacks.delete(name, scene.tell)
