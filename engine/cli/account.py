"""Which stack in whose account `millpond deploy` and `millpond destroy` are about, and whether it is Millpond's own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import NoRegionError
from botocore.parsers import ResponseParserError

from engine.cli.errors import CliError
from engine.deployment import clients
from engine.deployment.interrupts import heard_at_once
from engine.deployment.stacks import Stacks

TAGS = {"application": "millpond"}
"""What all stacks are tagged with that are Millpond's, and only these are changed or taken away."""


@dataclass(frozen=True, slots=True)
class Target:
    """A stack, and where it is."""

    stack: str
    region: str | None
    endpoint_url: str | None

    @property
    def images_stack(self) -> str:
        """The stack of the repositories."""
        return f"{self.stack}-images"

    def client(self, service: str, **settings: Any) -> Any:
        """Return a client for a service, to be entered with ``async with``."""
        return clients.client(service, endpoint_url=self.endpoint_url, region=self.region, **settings)


async def who(stack: AsyncExitStack, target: Target) -> tuple[str, str]:
    """Return whose account it is, and which region: fails at once without credentials, region, or AWS behind it."""
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
    """Ask the person for the stack's name and tell whether they gave it; raises `CliError` where nobody is there."""
    try:
        with heard_at_once():
            return input("  Type the stack's name to go on: ").strip() == name
    except EOFError:
        raise CliError("Nobody is there to be asked: say --yes.") from None


async def check_is_ours(stacks: Stacks, target: Target) -> list[str]:
    """Return those of the target's two stacks that are there; raise `CliError` if one is not what Millpond made it."""
    there = []
    for name, parameter in ((target.stack, "ProducerImage"), (target.images_stack, "Prefix")):
        if await stacks.status(name) in (None, "REVIEW_IN_PROGRESS"):
            continue
        if not TAGS.items() <= (await stacks.tags(name)).items() or parameter not in await stacks.parameters(name):
            raise CliError(
                f"There is a stack named {name} that Millpond did not make (it lacks the tag application=millpond, or "
                f"the parameter {parameter}): choose another --stack."
            )
        there.append(name)
    return there
