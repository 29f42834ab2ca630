"""Stacks in states that the local AWS does not have, with a CloudFormation of prepared answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.deployment.stacks import ChangeSet, DeploymentError, Stacks


def _event(text: str) -> dict[str, str]:
    """An event from ``"Resource STATUS reason"``; a single word stands for the first two."""
    name, _, rest = text.partition(" ")
    status, _, reason = rest.partition(" ")
    return {
        "EventId": text,
        "LogicalResourceId": name,
        "ResourceStatus": status or name,
        "ResourceStatusReason": reason,
    }


class CloudFormation:
    """Answers DescribeStacks, DescribeStackEvents and DescribeChangeSet by lists; the last answer of each stays."""

    def __init__(self, statuses: Iterable[str | None] = (), events: Iterable[list[str]] = ()) -> None:
        self.statuses, self.events = list(statuses), list(events)
        self.change_set: list[str] = ["CREATE_COMPLETE"]
        self.reason = ""
        self.protected = False
        self.deleted: list[str] = []

    @staticmethod
    def next(answers: list[Any]) -> Any:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def describe_stacks(self, **_: str) -> dict[str, Any]:
        status = self.next(self.statuses)
        if status is None:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "there is none"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": status, "EnableTerminationProtection": self.protected}]}

    async def describe_stack_events(self, **_: str) -> dict[str, Any]:
        ids = self.next(self.events)
        return {"StackEvents": [_event(id_) for id_ in reversed(ids)]}

    async def create_change_set(self, **_: Any) -> None:
        """Start to create a change set."""

    async def describe_change_set(self, **_: str) -> dict[str, Any]:
        return {"Status": self.next(self.change_set), "StatusReason": self.reason, "Changes": []}

    async def delete_change_set(self, **_: str) -> None:
        if self.change_set[0] == "CREATE_IN_PROGRESS":
            raise ClientError({"Error": {"Code": "InvalidChangeSetStatus"}}, "DeleteChangeSet")
        self.deleted.append("change set")

    async def execute_change_set(self, **_: str) -> None:
        """Start to execute it."""

    async def list_change_sets(self, **_: str) -> dict[str, Any]:
        return {"Summaries": []}

    async def delete_stack(self, **_: str) -> None:
        self.deleted.append("stack")


def stacks_of(client: CloudFormation) -> Stacks:
    return Stacks(client, poll_seconds=0.001)


async def test_change_that_starts_late_is_followed_to_its_end() -> None:
    client = CloudFormation(
        ["UPDATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"],
        [["before"], ["before"], ["before", "begun"], ["before", "begun", "ended"]],
    )
    told: list[str] = []
    await stacks_of(client).execute(ChangeSet("c", "s", creates=False, began=False), lambda name, _: told.append(name))
    assert told == ["begun", "ended"]


async def test_waiting_for_a_change_that_never_starts_ends() -> None:
    client = CloudFormation(["UPDATE_COMPLETE"] * 14 + ["UPDATE_IN_PROGRESS"] * 3 + ["UPDATE_COMPLETE"], [[]])
    async with asyncio.timeout(5):
        await stacks_of(client).execute(ChangeSet("c", "s", creates=False, began=False), lambda _, __: None)


async def test_failed_rollback_is_reported_with_both_reasons() -> None:
    client = CloudFormation(
        ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED"],
        [
            [],
            [
                "Query CREATE_FAILED no such image",
                "Api CREATE_FAILED Resource creation cancelled",
                "s ROLLBACK_IN_PROGRESS The following resource(s) failed to create: [Query, Api].",
                "Table DELETE_FAILED Resource is currently protected against deletion.",
                "s ROLLBACK_FAILED The following resource(s) failed to delete: [Table].",
            ],
        ],
    )
    with pytest.raises(DeploymentError) as failed:
        await stacks_of(client).execute(ChangeSet("c", "s", creates=True, began=True), lambda _, __: None)
    said = str(failed.value)
    assert said.startswith("Stack s is in ROLLBACK_FAILED. Query: no such image The rollback failed, too: Table: ")
    assert "aws dynamodb update-table --table-name NAME --no-deletion-protection-enabled" in said
    assert "cancelled" not in said


async def test_interrupted_plan_leaves_no_change_set() -> None:
    client = CloudFormation([None, "REVIEW_IN_PROGRESS"])
    client.change_set = ["CREATE_IN_PROGRESS"] * 200 + ["CREATE_COMPLETE"]
    plan = asyncio.create_task(stacks_of(client).plan("s", "{}", {}, {}))
    await asyncio.sleep(0.01)
    assert not plan.done()
    plan.cancel()
    with pytest.raises(asyncio.CancelledError):
        await plan
    assert client.deleted == ["change set", "stack"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("CREATE_FAILED", "destroy it first"),
        ("DELETE_FAILED", "destroy it first"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name s"),
        ("UPDATE_IN_PROGRESS", "a change is in progress"),
    ],
)
async def test_error_of_a_stack_that_cannot_be_changed_says_what_to_do(status: str, said: str) -> None:
    with pytest.raises(DeploymentError, match=said):
        await stacks_of(CloudFormation([status])).plan("s", "{}", {}, {})


async def test_stack_that_cannot_be_deleted_is_reported_first() -> None:
    await stacks_of(CloudFormation(["UPDATE_ROLLBACK_FAILED"])).deletable("s")
    with pytest.raises(DeploymentError, match="a change is in progress"):
        await stacks_of(CloudFormation(["UPDATE_IN_PROGRESS"])).deletable("s")
    client = CloudFormation(["CREATE_COMPLETE"])
    client.protected = True
    with pytest.raises(DeploymentError, match="protected against termination"):
        await stacks_of(client).deletable("s")


async def test_failed_existence_check_suggests_other_names() -> None:
    client = CloudFormation([None, "REVIEW_IN_PROGRESS"])
    client.change_set, client.reason = ["FAILED"], "[AWS::EarlyValidation::ResourceExistenceCheck] failed"
    with pytest.raises(DeploymentError, match=r"choose other names with --parameter \(BucketPrefix"):
        await stacks_of(client).plan("s", "{}", {}, {})
    assert client.deleted == ["change set", "stack"]
