"""Another schema than the packaged one, from its file to the API's answers, and things that exist before a stack."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.cli.demo import run_demo
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.ingest import Place, run_ingest
from engine.cli.schema import schema_of_stack
from engine.deployment import clients
from engine.deployment.schema_file import IMAGE_PATHS, SchemaFile
from engine.local.server import LocalServer
from engine.local.stack import deploy_local
from tests.builders.samples import ORDER_LINES_TOML
from tests.e2e.command import Command
from tests.e2e.conftest import LocalStack
from tests.e2e.http import get

ORDERS = SchemaFile.read(ORDER_LINES_TOML)
ORDERS_CSV = "order_id,sku,quantity\nA-1,pen,3\nA-1,cup,1\nA 2,pen,7\nA-3,pen,many\n"
OTHER_PREFIX = "in/orders/"


def table_of(name: str, *keys: tuple[str, str]) -> dict[str, Any]:
    """The arguments of CreateTable."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": type_} for key, type_ in keys],
        "KeySchema": [
            {"AttributeName": key, "KeyType": kind} for (key, _), kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
    }


ORDERS_KEY = (("order_id", "S"), ("sku", "S"))


@pytest.fixture
def orders_csv(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS_CSV)
    return path


@pytest.fixture(scope="module")
def orders(empty_aws: LocalServer) -> LocalStack:
    """A stack of its own table and bucket."""
    return LocalStack(
        empty_aws, asyncio.run(deploy_local(empty_aws.endpoint_url, name="orders", schema=ORDER_LINES_TOML))
    )


def ingest(stack: LocalStack, source: Path | str, schema: SchemaFile | None = None) -> tuple[int, str]:
    output = io.StringIO()
    place = Place(stack.outputs.name, stack.endpoint_url, None, 20, schema)
    return run_ingest(Display(Console(file=output, width=200)), str(source), place), output.getvalue()


async def call(stack: LocalServer | LocalStack, service: str, operation: str, **arguments: Any) -> Any:
    async with clients.client(service, endpoint_url=stack.endpoint_url) as client:
        return await getattr(client, operation)(**arguments)


def test_stack_is_asked_for_its_schema(orders: LocalStack) -> None:
    told = asyncio.run(schema_of_stack(orders.outputs.query, endpoint_url=orders.endpoint_url, region=None))
    assert told.text == ORDERS.text
    with pytest.raises(CliError, match=r"The stack's schema is unknown: .*--schema"):
        asyncio.run(schema_of_stack("no-such-function", endpoint_url=orders.endpoint_url, region=None))
    with pytest.raises(CliError, match=r"function orders-worker failed: .*--schema"):
        asyncio.run(schema_of_stack(orders.outputs.worker, endpoint_url=orders.endpoint_url, region=None))


def test_file_goes_from_upload_to_the_paths_of_its_collection(orders: LocalStack, orders_csv: Path) -> None:
    code, said = ingest(orders, orders_csv)
    assert code == 3, said
    assert "3 rows in table orders" in said
    assert "quantity is not a number" in said
    assert (orders.outputs.table, orders.outputs.queue_url.rpartition("/")[2]) == ("orders", "orders-queue")

    async def answers() -> list[Any]:
        paths = ("/orders/A-1/history", "/orders/A%202", "/orders?limit=5", "/users/A-1")
        return [await get(orders, path) for path in paths]

    (_, _, history), (_, _, other), (_, _, page), (status, _, _) = asyncio.run(answers())
    assert history["items"] == [
        {"order_id": "A-1", "sku": "pen", "quantity": 3},
        {"order_id": "A-1", "sku": "cup", "quantity": 1},
    ]
    assert other == {"order_id": "A 2", "sku": "pen", "quantity": 7}
    assert page["count"] == 2
    assert status == 404


def test_demo_shows_a_stack_of_another_schema(orders: LocalStack) -> None:
    output = io.StringIO()
    display = Display(Console(file=output, width=200))
    code = run_demo(
        display, rows=900, seed=3, endpoint_url=orders.endpoint_url, stack_name=orders.outputs.name, region=None
    )
    assert code == 0, output.getvalue()
    assert "900 rows read = 898 written + 2 rejected" in output.getvalue()
    assert "/orders/A00" in output.getvalue()


# ---- A table and a bucket that exist


@pytest.fixture(scope="module")
def shared(empty_aws: LocalServer) -> list[LocalStack]:
    """Two stacks that take files from one bucket, each with its prefix; the first one fills a table that exists."""

    async def made() -> list[LocalStack]:
        await call(empty_aws, "s3", "create_bucket", Bucket="shared")
        on: dict[str, Any] = {"EventBridgeConfiguration": {}}
        await call(
            empty_aws,
            "s3",
            "put_bucket_notification_configuration",
            Bucket="shared",
            NotificationConfiguration=on,
        )
        await call(empty_aws, "dynamodb", "create_table", **table_of("theirs", *ORDERS_KEY))
        arn = "arn:aws:dynamodb:us-east-1:000000000000:table/theirs"
        first = {"BucketPrefix": "shared-one", "QueueName": "shared-one", "TableArn": arn}
        second = {"BucketPrefix": "shared-two", "QueueName": "shared-two", "TableName": "shared-two"}
        stacks = []
        for name, prefix, names in (("one", OTHER_PREFIX, first), ("two", "in/more/", second)):
            parameters = {**names, "SourceBucket": "shared", "UploadsPrefix": prefix}
            outputs = await deploy_local(
                empty_aws.endpoint_url, name=f"shared-{name}", schema=ORDER_LINES_TOML, parameters=parameters
            )
            stacks.append(LocalStack(empty_aws, outputs))
        return stacks

    return asyncio.run(made())


def test_stacks_share_a_bucket_and_fill_a_table_that_exists(shared: list[LocalStack], orders_csv: Path) -> None:
    one, two = shared
    code, said = ingest(one, orders_csv)  # the upload alone starts the producer, by EventBridge
    assert code == 3, said
    assert "3 rows in table theirs" in said
    assert "rejects: s3://shared-one-000000000000-us-east-1/rejects/in/orders/orders.csv/" in said
    code, said = ingest(one, f"s3://shared/{OTHER_PREFIX}orders.csv")
    assert code == 3, said
    assert asyncio.run(call(two, "dynamodb", "scan", TableName=two.outputs.table))["Count"] == 0
    assert ingest(two, orders_csv)[0] == 3
    assert asyncio.run(call(two, "dynamodb", "scan", TableName=two.outputs.table))["Count"] == 3


def test_producer_reads_its_own_prefix_alone(shared: list[LocalStack]) -> None:
    one, two = shared
    asyncio.run(call(one, "s3", "put_object", Bucket="shared", Key="in/more/x.csv", Body=ORDERS_CSV.encode()))
    with pytest.raises(CliError, match="AccessDenied"):
        ingest(one, "s3://shared/in/more/x.csv")
    assert two.outputs.uploads_url == "s3://shared/in/more/"


# ---- millpond deploy and destroy


def parameters_of(millpond: Command) -> dict[str, str]:
    (stack,) = millpond.ask("cloudformation", "describe_stacks", StackName=millpond.name)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def test_schema_is_deployed_and_kept(millpond: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = millpond("deploy", *millpond.names, "--schema", str(ORDER_LINES_TOML))
    assert code == 0, said
    table = millpond.ask("dynamodb", "describe_table", TableName=millpond.name)["Table"]
    assert table["KeySchema"] == table_of("", *ORDERS_KEY)["KeySchema"]
    kept = parameters_of(millpond)
    assert (kept["Collection"], kept["SchemaPath"]) == ("orders", IMAGE_PATHS[False])
    worker = millpond.ask("lambda", "get_function_configuration", FunctionName=f"{millpond.name}-worker")
    assert worker["Environment"]["Variables"]["SCHEMA"] == IMAGE_PATHS[False]
    # These images are not real, so the stack cannot tell its schema: without the file nothing is changed.
    code, said = millpond("deploy", "--parameter=LogRetentionDays=90")
    assert code == 2
    assert "Name the stack's schema file with --schema" in said
    asked = []

    async def told(function: str, **_: object) -> SchemaFile:
        asked.append(function)
        return ORDERS

    monkeypatch.setattr("engine.cli.prepare.schema_of_stack", told)
    code, said = millpond("deploy", "--parameter=LogRetentionDays=90")
    assert code == 0, said
    assert asked == [f"{millpond.name}-query"]
    assert parameters_of(millpond) == {**kept, "LogRetentionDays": "90"}
    # Another key would be another table.
    other = tmp_path / "other.toml"
    other.write_text(ORDERS.text.replace('sort = "sku"\n', ""))
    code, said = millpond("deploy", "--schema", str(other))
    assert code == 2
    assert "The schema has the key order_id (S), and the table of this stack order_id (S), sku (S)" in said
    other.write_text(ORDERS.text.replace('"orders"', '"sales"'))
    code, said = millpond("deploy", "--schema", str(other))
    assert code == 2
    assert "This stack's API has /orders/{order_id}, and that of the schema /sales/{order_id}" in said
    assert millpond("destroy", "--delete-data", "--yes")[0] == 0
    assert millpond.name not in millpond.ask("dynamodb", "list_tables")["TableNames"]


def test_invalid_schema_is_refused_before_anything_is_called(millpond: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(ORDERS.text.replace('partition = "order_id"', 'partition = "id"'))
    code, said = millpond("deploy", "--schema", str(path))
    assert (code, millpond.docker) == (2, [])
    assert f"schema {path}: key.partition = 'id': is the attribute of no column" in said
    code, said = millpond("deploy", "--schema", str(tmp_path / "none.toml"))
    assert (code, millpond.docker) == (2, [])
    assert "none.toml cannot be read: No such file or directory" in said


def test_existing_table_is_checked_filled_and_left_alone(millpond: Command) -> None:
    mine = [each for each in millpond.names if "TableName" not in each]
    region = "arn:aws:dynamodb:us-east-1:000000000000:table/"
    wrong, right = f"{millpond.name}-wrong", f"{millpond.name}-right"
    millpond.ask("dynamodb", "create_table", **table_of(wrong, ("order_id", "S"), ("sku", "N")))
    millpond.ask("dynamodb", "create_table", **table_of(right, *ORDERS_KEY))
    for arn, problem in (
        (
            region + wrong,
            f"the key of the table {wrong} is order_id (S), sku (N), that of the schema order_id",
        ),
        (region + "no-such", "there is no table no-such in account 000000000000, us-east-1"),
        (region.replace("us-east-1", "eu-west-1") + right, "is in account 000000000000, eu-west-1, and the stack in"),
    ):
        code, said = millpond("deploy", *mine, "--schema", str(ORDER_LINES_TOML), f"--parameter=TableArn={arn}")
        assert (code, millpond.docker) == (2, ["version"])
        assert problem in said
    before = millpond.ask("dynamodb", "describe_table", TableName=right)["Table"]
    options = [*mine, "--schema", str(ORDER_LINES_TOML), f"--parameter=TableArn={region}{right}"]
    code, said = millpond("deploy", *options)
    assert code == 0, said
    code, said = millpond("destroy", "--delete-data", "--yes")
    assert code == 0, said
    assert f"{right}: left as they are" in said
    assert millpond.ask("dynamodb", "describe_table", TableName=right)["Table"] == before
    code, said = millpond("deploy", *options)  # nothing of the first stack is in the way
    assert code == 0, said


def test_existing_bucket_must_send_events_and_is_left_alone(millpond: Command) -> None:
    bucket = f"{millpond.name}-theirs"
    options = [*millpond.names, f"--parameter=SourceBucket={bucket}"]
    code, said = millpond("deploy", *options)
    assert (code, millpond.docker) == (2, ["version"])
    assert f"there is no bucket {bucket}" in said
    millpond.ask("s3", "create_bucket", Bucket=bucket)
    millpond.ask("s3", "put_object", Bucket=bucket, Key="uploads/kept.csv", Body=b"x")
    arn = f"arn:aws:sqs:us-east-1:000000000000:{bucket}"
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    millpond.ask("sqs", "create_queue", QueueName=bucket, Attributes={"Policy": policy})
    theirs = {"QueueConfigurations": [{"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}]}
    millpond.ask("s3", "put_bucket_notification_configuration", Bucket=bucket, NotificationConfiguration=theirs)
    code, said = millpond("deploy", *options)
    assert (code, millpond.docker) == (2, ["version"])
    assert f"the bucket {bucket} sends no notifications to EventBridge" in said
    words = shlex.split(said[said.index("aws s3api") :])
    assert words[:4] == ["aws", "s3api", "put-bucket-notification-configuration", "--region"]
    assert words[words.index("--bucket") + 1] == bucket
    configuration = json.loads(words[words.index("--notification-configuration") + 1])
    assert configuration["QueueConfigurations"] == theirs["QueueConfigurations"]  # the call replaces them all
    millpond.ask("s3", "put_bucket_notification_configuration", Bucket=bucket, NotificationConfiguration=configuration)
    code, said = millpond("deploy", *options)
    assert code == 0, said
    code, said = millpond("destroy", "--delete-data", "--yes")
    assert code == 0, said
    assert f"{bucket}: left as they are" in said
    (kept,) = millpond.ask("s3", "list_objects_v2", Bucket=bucket)["Contents"]
    assert kept["Key"] == "uploads/kept.csv"
    after = millpond.ask("s3", "get_bucket_notification_configuration", Bucket=bucket)
    assert {name: each for name, each in after.items() if name != "ResponseMetadata"} == configuration
    buckets = [each["Name"] for each in millpond.ask("s3", "list_buckets")["Buckets"]]
    assert not any(each.startswith(f"{millpond.name}-0") for each in buckets)  # the rejects' was the stack's own
