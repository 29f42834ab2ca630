"""CloudFormation stacks: plan a change set, execute it with progress, delete a stack.

Works with any endpoint that answers like CloudFormation.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from engine.errors import MillpondError

POLL_SECONDS = 2.0

_POLLS_UNTIL_BEGUN = 15

_SECONDS_TO_GIVE_UP = 60.0

MAX_TEMPLATE_BYTES = 51_200
"""CloudFormation quota: a template body that is passed in the request, not read from S3, has at most 51,200 bytes."""

# CloudFormation's reasons for an empty change set; there is no error code for it.
_NOTHING = ("didn't contain changes", "No updates are to be performed")

# A resource that could not be created may have the name of somebody else's.
_HELD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED", "IMPORT_COMPLETE", "DELETE_FAILED")

# What to do about common reasons, by words that they contain.
_ADVICE = {
    "EarlyValidation": "Usually a bucket, table or queue of that name exists already, kept when a stack was "
    "destroyed: choose other names with --parameter (BucketPrefix, QueueName, TableName), or delete it.",
    "wait 60 seconds": "A queue of that name was deleted less than a minute ago: try again in a minute.",
    "already exists": "Was it kept when a stack was destroyed? Choose another name with --parameter, or delete it.",
    "not authorized": "Ask for that permission, or deploy with credentials that have it.",
    "AccessDenied": "Ask for that permission, or deploy with credentials that have it.",
    "UnreservedConcurrentExecution": "The account's Lambda concurrency is too small: ask AWS for a higher quota.",
    "CloudWatch Logs role": "Deploy with --parameter ApiAccessLogs=off, or with =account-role, which sets one.",
    "protected against deletion": "Turn that off with `aws dynamodb update-table --table-name NAME "
    "--no-deletion-protection-enabled`, then destroy the stack.",
}


class DeploymentError(MillpondError):
    """A stack cannot be changed; the message says which resource and why, and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a change set touches."""

    action: str
    resource: str
    kind: str
    replaced: str
    """As in CloudFormation: "True", "False" or "Conditional"."""


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Planned changes that are not executed yet.

    `creates`: the stack has no resources yet. `began`: the change set has created the stack's name.
    """

    name: str
    stack: str
    creates: bool
    began: bool
    changes: tuple[Change, ...] = ()


class Stacks:
    """The stacks of one account and region, through one CloudFormation client."""

    def __init__(self, cloudformation: Any, poll_seconds: float | None = None) -> None:
        self._client, self._poll_seconds = cloudformation, poll_seconds or POLL_SECONDS

    async def status(self, name: str) -> str | None:
        """Return the status of a stack, None if there is none."""
        description = await self._find(name)
        return None if description is None else str(description["StackStatus"])

    async def changeable(self, name: str) -> str | None:
        """Return the status as `status` does; raise `DeploymentError` if the stack cannot be changed in it."""
        status = await self.status(name)
        if status is not None and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise DeploymentError(f"Stack {name} is in {status}: a change is in progress. Try again when it is done.")
        if status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            raise DeploymentError(f"Stack {name} is in {status} and cannot be updated: destroy it first.")
        if status == "UPDATE_ROLLBACK_FAILED":
            fix = f"aws cloudformation continue-update-rollback --stack-name {name}"
            raise DeploymentError(f"Stack {name} is in {status} and cannot be updated before that is fixed: {fix}")
        return status

    async def deletable(self, name: str) -> None:
        """Raise `DeploymentError` if the stack cannot be deleted in its state."""
        description = await self._find(name) or {}
        if description.get("EnableTerminationProtection"):
            raise DeploymentError(f"Stack {name} is protected against termination: turn that off first.")
        status = str(description.get("StackStatus", ""))
        if status.endswith("_IN_PROGRESS") and status not in ("REVIEW_IN_PROGRESS", "DELETE_IN_PROGRESS"):
            raise DeploymentError(f"Stack {name} is in {status}: a change is in progress. Try again when it is done.")

    async def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs of a stack; empty if it does not exist."""
        description = await self._find(name) or {}
        return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}

    async def resources(self, name: str) -> dict[str, str]:
        """Return the resources that a stack has created and still holds: logical id -> physical id."""
        held: dict[str, str] = {}
        page: dict[str, Any] = {"NextToken": None}
        while "NextToken" in page:
            more = {"NextToken": page["NextToken"]} if page["NextToken"] else {}
            page = await self._client.list_stack_resources(StackName=name, **more)
            for each in page["StackResourceSummaries"]:
                if each["ResourceStatus"] in _HELD:
                    held[each["LogicalResourceId"]] = each["PhysicalResourceId"]
        return held

    async def parameters(self, name: str) -> dict[str, str]:
        """Return the parameters of a stack; empty if it does not exist."""
        description = await self._find(name) or {}
        return {each["ParameterKey"]: each["ParameterValue"] for each in description.get("Parameters", [])}

    async def tags(self, name: str) -> dict[str, str]:
        """Return the tags of a stack; empty if it does not exist."""
        description = await self._find(name) or {}
        return {each["Key"]: each["Value"] for each in description.get("Tags", [])}

    async def plan(
        self, name: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str]
    ) -> ChangeSet | None:
        """Create a change set; return None if nothing would change. Raises `DeploymentError`."""
        if len(template.encode()) > MAX_TEMPLATE_BYTES:
            raise DeploymentError(f"The template has more than {MAX_TEMPLATE_BYTES:,} bytes, CloudFormation's limit.")
        status = await self.changeable(name)
        creates = status in (None, "REVIEW_IN_PROGRESS")
        change_set = ChangeSet(f"millpond-{uuid.uuid4().hex[:12]}", name, creates, began=status is None)
        try:
            await self._client.create_change_set(
                StackName=name,
                ChangeSetName=change_set.name,
                ChangeSetType="CREATE" if creates else "UPDATE",
                TemplateBody=template,
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
                Capabilities=["CAPABILITY_IAM"],
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
        except ClientError as error:
            raise DeploymentError(f"Stack {name} was refused: {_words(error)}") from error
        try:
            found = await self._worked_out(change_set)
        except BaseException:
            # A change set that is still being created cannot be deleted.
            with suppress(ClientError, TimeoutError):
                async with asyncio.timeout(_SECONDS_TO_GIVE_UP):
                    await self._worked_out(change_set)
                    await self.drop(change_set)
            raise
        if found["Status"] == "FAILED":
            await self.drop(change_set)
            reason = found.get("StatusReason", "no reason given")
            if any(words in reason for words in _NOTHING):
                return None
            raise DeploymentError(f"Stack {name}: {_advised(reason)}")
        return replace(change_set, changes=tuple(_change(each["ResourceChange"]) for each in found.get("Changes", [])))

    async def _worked_out(self, change_set: ChangeSet) -> dict[str, Any]:
        while True:
            found = await self._change_set(change_set.stack, change_set.name)
            if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                return found
            await asyncio.sleep(self._poll_seconds)

    async def drop(self, change_set: ChangeSet) -> None:
        """Delete a change set, and the stack that it created, unless that has other change sets by now."""
        await self._client.delete_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
        if change_set.began and await self.status(change_set.stack) == "REVIEW_IN_PROGRESS":
            reply = await self._client.list_change_sets(StackName=change_set.stack)
            if {each["ChangeSetName"] for each in reply["Summaries"]} <= {change_set.name}:
                await self._client.delete_stack(StackName=change_set.stack)

    async def execute(self, change_set: ChangeSet, tell: Callable[[str, str], None]) -> None:
        """Execute the changes; call ``tell(resource, status)`` for each event.

        Raises `DeploymentError` with the first resource that failed; CloudFormation has then rolled back.
        """
        known = {event["EventId"] for event in await self._events(change_set.stack)}
        await self._client.execute_change_set(StackName=change_set.stack, ChangeSetName=change_set.name)
        failure = await self._follow(change_set.stack, known, tell)
        status = await self.status(change_set.stack)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise DeploymentError(f"Stack {change_set.stack} is in {status}. {failure or 'No reason was given.'}")

    async def delete(self, name: str, tell: Callable[[str, str], None]) -> None:
        """Delete a stack, except for resources that its template retains. Raises `DeploymentError`."""
        description = await self._find(name)
        if description is None:
            raise DeploymentError(f"There is no stack named {name} here.")
        identity = description["StackId"]
        known = {event["EventId"] for event in await self._events(identity)}
        await self._client.delete_stack(StackName=name)
        failure = await self._follow(identity, known, tell)
        if (status := await self.status(identity)) not in (None, "DELETE_COMPLETE"):
            raise DeploymentError(f"Stack {name} is in {status}. {failure or 'No reason was given.'}")

    async def _follow(self, stack: str, known: set[str], tell: Callable[[str, str], None]) -> str | None:
        """Report events until the stack is stable; return the first failure, which is the cause of the others.

        If the rollback fails as well, its first failure is appended.
        """
        failure: str | None = None
        failure_of_rollback: str | None = None
        rolling_back = False
        begun, patience = False, _POLLS_UNTIL_BEGUN
        while True:
            # Right after the call the stack may still be in its earlier state. So the end is a stable state after an
            # earlier round has seen an event.
            begun_before = begun
            status = await self.status(stack)
            for event in reversed(await self._events(stack)):
                if event["EventId"] in known:
                    continue
                begun = True
                known.add(event["EventId"])
                tell(event["LogicalResourceId"], event["ResourceStatus"])
                rolling_back = rolling_back or event["ResourceStatus"].endswith("ROLLBACK_IN_PROGRESS")
                if event["ResourceStatus"].endswith("_FAILED"):
                    reason = event.get("ResourceStatusReason", "no reason given")
                    said = f"{event['LogicalResourceId']}: {_advised(reason)}"
                    if rolling_back:
                        failure_of_rollback = failure_of_rollback or said
                    else:
                        failure = failure or said
            patience -= 1
            if status is None or (not status.endswith("_IN_PROGRESS") and (begun_before or patience <= 0)):
                if failure_of_rollback is None:
                    return failure
                return f"{failure or ''} The rollback failed, too: {failure_of_rollback}".strip()
            await asyncio.sleep(self._poll_seconds)

    async def _find(self, name: str) -> dict[str, Any] | None:
        try:
            reply = await self._client.describe_stacks(StackName=name)
        except ClientError as error:
            if error.response["Error"].get("Code") == "ValidationError":
                return None
            raise
        found: list[dict[str, Any]] = reply["Stacks"]
        return found[0] if found and found[0]["StackStatus"] != "DELETE_COMPLETE" else None

    async def _change_set(self, stack: str, name: str) -> dict[str, Any]:
        """Describe a change set, with all pages of its changes."""
        found: dict[str, Any] = await self._client.describe_change_set(StackName=stack, ChangeSetName=name)
        token = found.get("NextToken")
        while token:
            page = await self._client.describe_change_set(StackName=stack, ChangeSetName=name, NextToken=token)
            found["Changes"] += page["Changes"]
            token = page.get("NextToken")
        return found

    async def _events(self, stack: str) -> list[dict[str, Any]]:
        """Return the newest page of events, newest first; empty if the stack does not exist."""
        try:
            reply = await self._client.describe_stack_events(StackName=stack)
        except ClientError as error:
            if error.response["Error"].get("Code") == "ValidationError":
                return []
            raise
        events: list[dict[str, Any]] = reply["StackEvents"]
        return events


def _change(change: Mapping[str, Any]) -> Change:
    return Change(
        change["Action"],
        change["LogicalResourceId"],
        change["ResourceType"],
        change.get("Replacement", "False"),
    )


def _advised(reason: str) -> str:
    """Return a reason and what to do about it, in one line."""
    said = " ".join(reason.split())
    advice = next((text for words, text in _ADVICE.items() if words in said), "")
    return f"{said} {advice}".strip()


def _words(error: ClientError) -> str:
    return _advised(str(error.response["Error"].get("Message", error)))
