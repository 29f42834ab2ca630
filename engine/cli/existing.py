"""A table and a bucket that exist before the stack: whether it can use them, found out before anything is deployed.

They belong to somebody else, so nothing here changes them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from engine.cli.errors import explain
from engine.schema.model import Schema
from engine.table_key import described_key, key_problem

TABLE, BUCKET = "TableArn", "SourceBucket"
"""The parameters that name them."""


async def table_problems(dynamodb: Any, arn: str, schema: Schema, account: str, region: str) -> list[str]:
    """Return why a stack of `schema`, in `account` and `region`, cannot fill the table `arn`."""
    _, _, _, its_region, its_account, resource = arn.split(":", 5)
    name = resource.partition("/")[2]
    if (its_account, its_region) != (account, region):
        return [
            f"{TABLE}: the table {name} is in account {its_account}, {its_region}, and the stack in account {account}, "
            f"{region}: they must be together."
        ]
    try:
        table = (await dynamodb.describe_table(TableName=name))["Table"]
    except ClientError as error:
        if error.response["Error"].get("Code") == "ResourceNotFoundException":
            return [f"{TABLE}: there is no table {name} in account {account}, {region}."]
        return [f"{TABLE}: the key of the table {name} cannot be checked. {explain(error)}"]
    if table.get("TableStatus") == "DELETING":
        return [f"{TABLE}: the table {name} is being deleted."]
    if problem := key_problem(name, described_key(table), schema):
        return [f"{TABLE}: {problem}. Choose another table, or a schema with this table's key."]
    return []


async def bucket_problems(s3: Any, bucket: str, region: str) -> list[str]:
    """Return why a stack in `region` cannot take files from `bucket`."""
    try:
        head = await s3.head_bucket(Bucket=bucket)
        found = await s3.get_bucket_notification_configuration(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"].get("Code") in ("404", "NoSuchBucket"):
            return [f"{BUCKET}: there is no bucket {bucket}."]
        return [f"{BUCKET}: the bucket {bucket} cannot be checked. {explain(error)}"]
    where = head["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", region)
    if where != region:
        return [f"{BUCKET}: the bucket {bucket} is in {where}, and the stack in {region}: they must be together."]
    if "EventBridgeConfiguration" in found:
        return []
    return [
        f"{BUCKET}: the bucket {bucket} sends no notifications to EventBridge. Its owner turns them on, besides those "
        f"that it has, with: {_turn_on(bucket, region, found)}"
    ]


def _turn_on(bucket: str, region: str, found: Mapping[str, Any]) -> str:
    """Return the command that adds EventBridge to the notifications of a bucket; the call replaces all of them."""
    kept = {name: each for name, each in found.items() if name != "ResponseMetadata"}
    configuration = json.dumps({**kept, "EventBridgeConfiguration": {}})
    call = ["aws", "s3api", "put-bucket-notification-configuration", "--region", region, "--bucket", bucket]
    return shlex.join([*call, "--notification-configuration", configuration])
