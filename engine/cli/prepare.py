"""What a deployment consists of. Whatever is missing or wrong is found here, before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.account import TAGS, Target, check_is_ours, missing_access, who
from engine.cli.errors import EXPECTED, CliError, explain
from engine.cli.existing import BUCKET, TABLE, bucket_problems, table_problems
from engine.cli.schema import schema_of_stack
from engine.cli.words import listed
from engine.deployment.images import Builder, ImageError, own_architecture
from engine.deployment.parameters import ARCHITECTURE, conflicts, defaults, invalid, unknown
from engine.deployment.schema_file import IMAGE_PATHS, SCHEMA_PATH, SchemaFile
from engine.deployment.stacks import Stacks


@dataclass(frozen=True, slots=True)
class Wishes:
    """Options of a deployment; what is left out keeps its value in the stack, or else has its default."""

    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    architecture: str | None
    builder: str | None
    base_image: str | None
    build_options: Sequence[str]
    schema: SchemaFile | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment goes."""

    account: str
    region: str
    stacks: Stacks


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to deploy, and where. `builder` is None for a plan, which builds nothing."""

    place: Place
    schema: SchemaFile
    parameters: dict[str, str]
    builder: Builder | None


@dataclass(frozen=True, slots=True)
class _Found:
    """What is there before the deployment: `before` are the parameters of the stack, none for a new one."""

    place: Place
    schema: SchemaFile
    before: Mapping[str, str]


async def prepare(
    stack: AsyncExitStack, target: Target, wishes: Wishes, known: Mapping[str, Any], *, plan: bool
) -> Prepared:
    """Check what a deployment needs and return it; `known` are the template's parameters. Changes nothing.

    Raises `CliError` that names everything that is missing or wrong, not only the first thing.
    """
    problems = [*unknown(wishes.parameters, known), *invalid(wishes.parameters, known)]
    if taken := TAGS.keys() & wishes.tags.keys():
        problems.append(f"The tag {', '.join(taken)} marks Millpond's stacks: choose another.")
    builder: Builder | None = None
    if not plan:
        try:
            builder = Builder.find(wishes.builder)
        except ImageError as error:
            problems.append(str(error))
    found: _Found | None = None
    missing = missing_access(target)
    problems += missing
    if not missing:
        try:
            found = await _find(stack, target, wishes)
        except EXPECTED as error:
            problems.append(explain(error))
    schema = found.schema if found else wishes.schema or SchemaFile.packaged()
    before = found.before if found else {}
    # Parameters that are left out keep their values: a table must not return to its default name.
    kept = {name: value for name, value in before.items() if name in known and name not in wishes.parameters}
    problems += invalid(kept, known)
    architecture = wishes.architecture or before.get(ARCHITECTURE) or own_architecture()
    # The names that follow from the schema are those of a new stack; one that exists has names already.
    names = {} if before else schema.names()
    parameters = {**names, **kept, **wishes.parameters, **schema.parameters(), ARCHITECTURE: architecture}
    problems += conflicts(parameters, known)
    if found is not None:
        problems += await _unfit(stack, target, found, known, parameters)
    if problems or found is None:
        raise CliError(listed(problems))
    return Prepared(found.place, schema, parameters, builder)


async def _find(stack: AsyncExitStack, target: Target, wishes: Wishes) -> _Found:
    """Look up account, region, and the stack if it exists. Raises one of `EXPECTED` if it cannot be changed."""
    account, region = await who(stack, target)
    stacks = Stacks(await stack.enter_async_context(target.client("cloudformation")), target.poll_seconds)
    for name in await check_is_ours(stacks, target):
        await stacks.changeable(name)
    before = await stacks.parameters(target.stack)
    schema = wishes.schema or SchemaFile.packaged()
    if wishes.schema is None and before.get(SCHEMA_PATH) not in (None, IMAGE_PATHS[True]):
        query = (await stacks.outputs(target.stack)).get("QueryFunctionName", "")
        schema = await schema_of_stack(query, endpoint_url=target.endpoint_url, region=target.region)
    return _Found(Place(account, region, stacks), schema, before)


async def _unfit(
    stack: AsyncExitStack, target: Target, found: _Found, known: Mapping[str, Any], parameters: Mapping[str, str]
) -> list[str]:
    """Return why what is there does not fit the parameters: another key, names that are taken, foreign things.

    Values that are invalid by themselves are not looked up.
    """
    after = {**defaults(known), **parameters}
    valid = {name: value for name, value in after.items() if not invalid({name: value}, known)}
    problems = await _unusable(stack, target, valid, found)
    if found.before:
        return problems + _not_changeable({**defaults(known), **found.before}, after)
    if after[TABLE]:
        valid.pop("TableName", None)  # no table of this name is created
    return problems + await _names_taken(stack, target, valid, found.place)


def _not_changeable(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return why a stack that exists cannot have the schema: its API has other paths, or its own table another key.

    The stage of an API serves a snapshot, which CloudFormation does not renew when a resource gets another path.
    """
    if (old := _paths(before)) != (new := _paths(after)):
        return [f"This stack's API has {old}, and that of the schema {new}: deploy it as another stack (--stack NAME)."]
    same_table = (before["TableName"], before[TABLE]) == (after["TableName"], "")
    if not same_table or _key(before) == _key(after):
        return []
    return [
        f"The schema has the key {_key(after)}, and the table of this stack {_key(before)}: deploy it as another stack "
        "(--stack NAME), or into another table (--parameter TableName=…)."
    ]


def _paths(parameters: Mapping[str, str]) -> str:
    return f"/{parameters['Collection']}/{{{parameters['KeyPathName']}}}"


def _key(parameters: Mapping[str, str]) -> str:
    pairs = [(parameters[f"{kind}KeyName"], parameters[f"{kind}KeyType"]) for kind in ("Partition", "Sort")]
    return ", ".join(f"{name} ({type_})" for name, type_ in pairs if name)


async def _unusable(stack: AsyncExitStack, target: Target, parameters: Mapping[str, str], found: _Found) -> list[str]:
    """Return why the stack cannot use the table or the bucket of somebody else that it is to use."""
    place, problems = found.place, []
    if arn := parameters.get(TABLE):
        dynamodb = await stack.enter_async_context(target.client("dynamodb"))
        problems += await table_problems(dynamodb, arn, found.schema.schema, place.account, place.region)
    if bucket := parameters.get(BUCKET):
        s3 = await stack.enter_async_context(target.client("s3"))
        problems += await bucket_problems(s3, bucket, place.region)
    return problems


async def _names_taken(stack: AsyncExitStack, target: Target, parameters: Mapping[str, str], place: Place) -> list[str]:
    """Return which names of a new stack are taken, by another stack or by what a destroyed stack has left.

    Names that the credentials may not look up are skipped: CloudFormation checks them later, after the build.
    """
    s3, dynamodb, sqs = [
        await stack.enter_async_context(target.client(service)) for service in ("s3", "dynamodb", "sqs")
    ]
    in_account = f"-{place.account}-{place.region}"
    taken = []
    for parameter, suffix, what, look, argument in (
        ("BucketPrefix", in_account, "bucket", s3.head_bucket, "Bucket"),
        ("TableName", "", "table", dynamodb.describe_table, "TableName"),
        ("QueueName", "", "queue", sqs.get_queue_url, "QueueName"),
    ):
        if parameter not in parameters:
            continue
        name = parameters[parameter] + suffix
        with suppress(ClientError):
            await look(**{argument: name})
            taken.append(f"a {what} named {name} (--parameter {parameter}=…)")
    if not taken:
        return []
    return [f"Already taken: {'; '.join(taken)}. Choose other names for the new stack, or delete what has them."]
