"""The stack and account of `millpond deploy` and `millpond destroy`, and whether the stack is Millpond's own."""

from __future__ import annotations

import difflib
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError

from engine.cli.errors import CliError, explain
from engine.deployment import clients
from engine.deployment.interrupts import heard_at_once
from engine.deployment.stacks import Stacks

TAGS = {"application": "millpond"}
"""Tags of all Millpond stacks; stacks without them are never changed or deleted."""

_PRODUCER = "ProducerFunctionName"
"""An output of each Millpond stack, deployed or local."""


@dataclass(frozen=True, slots=True)
class Target:
    """A stack and its location.

    `poll_seconds`: time between two requests for the stack's progress (None: the default).
    """

    stack: str
    region: str | None
    endpoint_url: str | None
    poll_seconds: float | None = None

    @property
    def images_stack(self) -> str:
        """The stack of the repositories."""
        return f"{self.stack}-images"

    def client(self, service: str, **settings: Any) -> Any:
        """Return a client for a service, to be entered with ``async with``."""
        return clients.client(service, endpoint_url=self.endpoint_url, region=self.region, **settings)


def missing_access(target: Target) -> list[str]:
    """Return what is missing for calls to AWS, checked without calling it: credentials, and a region that exists.

    With an endpoint other than AWS's own any region passes: emulators accept every name.
    """
    session = botocore.session.Session()
    try:
        credentials = session.get_credentials()
        region = target.region or session.get_config_variable("region")
        endpoint = (
            target.endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or session.get_scoped_config().get("endpoint_url")
        )
    except BotoCoreError as error:  # half of a key pair, an unknown profile
        return [explain(error)]
    problems = []
    if credentials is None:
        problems.append(explain(NoCredentialsError()))
    if region is None:
        problems.append(explain(NoRegionError()))
    elif endpoint is None and region not in (known := _regions(session)):
        close = difflib.get_close_matches(region, known, n=1)
        meant = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
        problems.append(f"There is no AWS region {region}. {meant}")
    return problems


def _regions(session: botocore.session.Session) -> list[str]:
    """Return the regions of all partitions that the installed botocore knows."""
    partitions = session.get_available_partitions()
    return sorted({region for each in partitions for region in session.get_available_regions("dynamodb", each)})


async def who(stack: AsyncExitStack, target: Target) -> tuple[str, str]:
    """Return account and region; fails at once without credentials, without a region, or if AWS does not answer."""
    sts = await stack.enter_async_context(target.client("sts", attempts=2, read_timeout=10))
    region: str | None = sts.meta.region_name
    if not region:
        raise NoRegionError
    try:
        account: str = (await sts.get_caller_identity())["Account"]
    except (KeyError, ResponseParserError):
        raise CliError(f"{sts.meta.endpoint_url} answers, but not as AWS does: is the URL right?") from None
    return account, region


def asked_for(name: str) -> bool:
    """Ask for the stack's name and return whether it was given; raises `CliError` without a terminal to ask."""
    try:
        with heard_at_once():
            return input("  Type the stack's name to go on: ").strip() == name
    except EOFError:
        raise CliError("There is no terminal to ask for confirmation: use --yes.") from None


async def check_is_ours(stacks: Stacks, target: Target) -> list[str]:
    """Return which of the target's two stacks exist; raise `CliError` if one was not created by Millpond."""
    there = []
    for name, parameter in ((target.stack, "ProducerImage"), (target.images_stack, "Prefix")):
        if await stacks.status(name) in (None, "REVIEW_IN_PROGRESS"):
            continue
        has_parameter = parameter in await stacks.parameters(name)
        if not has_parameter and _PRODUCER in await stacks.outputs(name):
            raise CliError(
                f"The stack {name} was made by `millpond local`: its functions run from the checkout, not from images, "
                "so it is neither deployed to nor destroyed. To change it, stop and start `millpond local` again. To "
                "try a deployment at this endpoint, choose another --stack."
            )
        if not has_parameter or not TAGS.items() <= (await stacks.tags(name)).items():
            raise CliError(
                f"There is a stack named {name} that Millpond did not create (it lacks the tag application=millpond "
                f"or the parameter {parameter}): choose another --stack."
            )
        there.append(name)
    return there
