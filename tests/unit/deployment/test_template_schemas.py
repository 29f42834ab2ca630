"""The template with other schemas, with a table that exists, and with a bucket that exists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.deployment.checkout import TEMPLATE
from engine.deployment.parameters import conflicts, defaults, invalid, unknown
from engine.deployment.schema_file import IMAGE_PATHS, PARAMETERS, SchemaFile
from engine.deployment.stacks import MAX_TEMPLATE_BYTES
from engine.deployment.template import TemplateError, read_template, with_defaults
from tests.builders.cloudformation import rendered
from tests.builders.samples import PRODUCTS_TOML

TEXT = TEMPLATE.read_text()
READ = read_template(TEXT)
KNOWN: dict[str, Any] = READ["Parameters"]
USERS = SchemaFile.packaged()
PRODUCTS = SchemaFile.read(PRODUCTS_TOML)

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/theirs"
BUCKET = "their-bucket"


def keyed(partition: tuple[str, str], sort: tuple[str, str] | None = None, collection: str = "things") -> SchemaFile:
    """A schema with these key columns, of these types."""
    lines = ["version = 1", f'collection = "{collection}"', "[key]", f"partition = {_toml(partition[0])}"]
    lines += [f"sort = {_toml(sort[0])}"] if sort else []
    for name, type_ in filter(None, (partition, sort)):
        lines += [f"[columns.{_toml(name)}]", "required = true", f'type = "{type_}"']
    return SchemaFile.of("\n".join(lines), "things.toml")


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def deployed(schema: SchemaFile, **parameters: str) -> dict[str, Any]:
    """The template with the parameters of a schema, and others."""
    return rendered(READ, {**defaults(KNOWN), **schema.names(), **schema.parameters(), **parameters})


SCHEMAS = {
    "users": USERS,
    "products": PRODUCTS,
    "number": keyed(("id", "N")),
    "number-number": keyed(("id", "N"), ("part", "N")),
    "text-text": keyed(("order_id", "S"), ("sku", "S")),
    "dashes": keyed(("order-id", "S"), ("line.no", "N"), "order_lines-2024"),
    "free": keyed(("Article No/#", "S"), ("größe", "S")),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_table_has_the_key_of_the_schema(name: str) -> None:
    schema = SCHEMAS[name].schema
    table = deployed(SCHEMAS[name])["Resources"]["Table"]["Properties"]
    kinds = dict(zip(schema.keys, ("HASH", "RANGE"), strict=False))
    assert table["KeySchema"] == [{"AttributeName": key, "KeyType": kind} for key, kind in kinds.items()]
    assert table["AttributeDefinitions"] == [
        {"AttributeName": key, "AttributeType": schema.types[key]} for key in schema.keys
    ]


@pytest.mark.parametrize(
    ("schema", "attribute"), [(USERS, "expirationTime"), (PRODUCTS, None), (keyed(("id", "S")), None)]
)
def test_items_expire_by_the_attribute_that_the_schema_generates(schema: SchemaFile, attribute: str | None) -> None:
    table = deployed(schema)["Resources"]["Table"]["Properties"]
    wanted = None if attribute is None else {"AttributeName": attribute, "Enabled": True}
    assert table.get("TimeToLiveSpecification") == wanted


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("users", ("users", "{email}")),
        ("products", ("products", "{sku}")),
        ("dashes", ("order_lines-2024", "{order-id}")),
        ("free", ("things", "{key}")),
    ],
)
def test_api_has_the_paths_of_the_schema(name: str, paths: tuple[str, str]) -> None:
    resources = deployed(SCHEMAS[name])["Resources"]
    parts = [each["Properties"]["PathPart"] for each in resources.values() if "PathPart" in each["Properties"]]
    assert parts == [*paths, "history", "{proxy+}"]
    # API Gateway: "only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the ends"
    assert all(re.fullmatch(r"[A-Za-z0-9._:-]+|\{[A-Za-z0-9._:-]+\+?\}", part) for part in parts)


@pytest.mark.parametrize("function", ["Producer", "Worker", "Query"])
@pytest.mark.parametrize(("name", "path"), [("users", IMAGE_PATHS[True]), ("products", IMAGE_PATHS[False])])
def test_functions_read_the_schema_of_their_image(function: str, name: str, path: str) -> None:
    variables = deployed(SCHEMAS[name])["Resources"][function]["Properties"]["Environment"]["Variables"]
    assert variables["SCHEMA"] == path


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=60)
KEYS = st.tuples(NAMES, st.sampled_from("SN"))


@given(
    st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True),
    st.tuples(KEYS, st.none() | KEYS).filter(lambda keys: keys[1] is None or keys[0][0].lower() != keys[1][0].lower()),
)
def test_every_schema_has_parameters_within_the_bounds(
    collection: str, keys: tuple[tuple[str, str], tuple[str, str] | None]
) -> None:
    schema = keyed(*keys, collection)
    parameters = {**schema.names(), **schema.parameters()}
    assert invalid(parameters, KNOWN) == conflicts(parameters, KNOWN) == []
    assert set(schema.parameters()) == set(PARAMETERS)
    names = {**defaults(KNOWN), **parameters}
    assert len(f"{names['QueueName']}-failures") <= 80
    assert 3 <= len(names["TableName"]) <= 255
    assert len(f"{names['BucketPrefix']}-123456789012-ap-southeast-2") <= 63


ONE_PARAMETER = """
Parameters:
  Other:
    Default: 1
  Name:
    Type: String
    # Why.
    Default: this  # comment
    MaxLength: 255
Resources: {}
Outputs:
  Name:
    Value: that
"""


@given(st.text())
def test_default_is_any_text(text: str) -> None:
    read = read_template(with_defaults(ONE_PARAMETER, {"Name": text}))
    assert read["Parameters"] == {
        "Other": {"Default": 1},
        "Name": {"Type": "String", "Default": text, "MaxLength": 255},
    }
    assert read["Outputs"] == {"Name": {"Value": "that"}}


def test_packaged_schema_has_the_defaults_of_the_template() -> None:
    assert USERS.names() == {}
    assert USERS.parameters() == {name: KNOWN[name]["Default"] for name in PARAMETERS}
    assert (KNOWN["QueueName"]["Default"], KNOWN["TableName"]["Default"]) == ("user-csv-queue", "users")
    assert with_defaults(TEXT, {}) == TEXT


def test_names_of_another_schema_follow_from_its_collection() -> None:
    assert PRODUCTS.names() == {
        "BucketPrefix": "millpond-products",
        "QueueName": "products-queue",
        "TableName": "products",
    }


def test_template_of_a_schema_differs_in_its_defaults_alone() -> None:
    parameters = {**PRODUCTS.names(), **PRODUCTS.parameters()}
    text = with_defaults(TEXT, parameters)
    assert len(text.encode()) <= MAX_TEMPLATE_BYTES
    assert text.count("#") == TEXT.count("#")
    read = read_template(text)
    for name, value in parameters.items():
        assert read["Parameters"][name]["Default"] == value
        read["Parameters"][name]["Default"] = KNOWN[name]["Default"]
    assert read == READ
    for name in ("ProducerImage", "NoSuch", "ApiUrl"):
        with pytest.raises(TemplateError, match=name):
            with_defaults(TEXT, {name: "x"})


def test_template_fits_into_a_request() -> None:
    assert len(TEXT.encode()) <= MAX_TEMPLATE_BYTES


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_a_schema_are_not_set_one_by_one(name: str) -> None:
    (problem,) = unknown({name: "x"}, KNOWN)
    assert "use --schema FILE" in problem


# ---- A table that exists


def references(value: Any, name: str) -> bool:
    """Whether a part of a template refers to the resource `name`."""
    return re.search(rf'"Ref": "{name}"|"Fn::GetAtt": \["{name}"|\$\{{{name}[.}}]', json.dumps(value)) is not None


def statements(resources: dict[str, Any], role: str) -> dict[str, Any]:
    (policy,) = resources[role]["Properties"]["Policies"]
    return {each["Sid"]: each["Resource"] for each in policy["PolicyDocument"]["Statement"]}


def test_existing_table_is_not_a_resource_and_is_all_that_roles_reach() -> None:
    template = deployed(PRODUCTS, TableArn=ARN)
    resources = template["Resources"]
    assert "Table" not in resources
    assert not references(template, "Table")
    tables = [name for name, each in resources.items() if each["Type"] == "AWS::DynamoDB::Table"]
    assert tables == ["Ledger"]
    assert statements(resources, "WorkerRole")["WriteItems"] == ARN
    assert statements(resources, "QueryRole")["ReadItems"] == ARN
    for function in ("Worker", "Query"):
        assert resources[function]["Properties"]["Environment"]["Variables"]["TABLE_NAME"] == "theirs"
    (dimension,) = resources["TableThrottleAlarm"]["Properties"]["Dimensions"]
    assert dimension == {"Name": "TableName", "Value": "theirs"}
    assert '"TableName", "theirs"]' in resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert template["Outputs"]["TableName"]["Value"] == "theirs"


# ---- A bucket that exists

S3 = "arn:${AWS::Partition}:s3:::"
OWN = "arn:${AWS::Partition}:s3:::millpond-products-${AWS::AccountId}-${AWS::Region}"


def test_existing_bucket_is_read_under_its_prefix_and_never_configured() -> None:
    template = deployed(PRODUCTS, SourceBucket=BUCKET, UploadsPrefix="in/products/")
    resources = template["Resources"]
    producer = statements(resources, "ProducerRole")
    assert producer["ReadUploads"] == {"Fn::Sub": f"{S3}{BUCKET}/in/products/*"}
    assert producer["TellMissingFromForbidden"] == {"Fn::Sub": f"{S3}{BUCKET}"}
    for role in ("ProducerRole", "WorkerRole"):
        assert statements(resources, role)["WriteRejects"] == {"Fn::Sub": f"{OWN}/rejects/*"}
    (own,) = [each for each in resources.values() if each["Type"] == "AWS::S3::Bucket"]
    assert own["Properties"]["BucketName"]["Fn::Sub"] == OWN.removeprefix(S3)
    assert "NotificationConfiguration" not in own["Properties"]
    outputs = {name: each["Value"] for name, each in template["Outputs"].items()}
    assert (outputs["BucketName"], outputs["RejectsBucket"]) == (BUCKET, {"Ref": "Bucket"})
    assert outputs["UploadsUrl"] == f"s3://{BUCKET}/in/products/"


def test_rule_hands_objects_under_the_prefix_to_the_producer() -> None:
    resources = deployed(PRODUCTS, SourceBucket=BUCKET, UploadsPrefix="in/products/")["Resources"]
    rule = resources["UploadRule"]["Properties"]
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [BUCKET]}, "object": {"key": [{"prefix": "in/products/"}]}},
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["Producer", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}
    permission = resources["RulePermission"]["Properties"]
    assert (permission["Principal"], permission["SourceArn"]) == (
        "events.amazonaws.com",
        {"Fn::GetAtt": ["UploadRule", "Arn"]},
    )
    allowed, denied = resources["FailureQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allowed["Effect"], allowed["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadRule", "Arn"]}}}
    assert denied["Sid"] == "TlsOnly"


def test_rule_without_a_prefix_takes_every_object() -> None:
    resources = deployed(PRODUCTS, SourceBucket=BUCKET, UploadsPrefix="")["Resources"]
    assert resources["UploadRule"]["Properties"]["EventPattern"]["detail"] == {"bucket": {"name": [BUCKET]}}
    assert statements(resources, "ProducerRole")["ReadUploads"] == {"Fn::Sub": f"{S3}{BUCKET}/*"}


def test_own_bucket_notifies_of_another_prefix() -> None:
    resources = deployed(USERS, UploadsPrefix="in/")["Resources"]
    (notification,) = resources["Bucket"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]
    assert notification["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "in/"}]
    assert "UploadRule" not in resources
    assert "RulePermission" not in resources
    assert not references(resources, "UploadRule")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"UploadsPrefix": ""}, "cannot be empty"),
        ({"UploadsPrefix": "rejects/today/"}, "must not overlap"),
        ({"UploadsPrefix": "re"}, "must not overlap"),
        ({"UploadsPrefix": "rejects/", "SourceBucket": BUCKET}, "must not overlap"),
        ({"UploadsPrefix": "", "SourceBucket": BUCKET}, None),
        ({"UploadsPrefix": "in/", "SourceBucket": BUCKET}, None),
        ({}, None),
    ],
)
def test_prefix_of_uploads_is_apart_from_that_of_rejects(given: dict[str, str], problem: str | None) -> None:
    problems = conflicts(given, KNOWN)
    assert len(problems) == (problem is not None)
    assert all(str(problem) in each for each in problems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UploadsPrefix", "in/*"),
        ("UploadsPrefix", "/in/"),
        ("UploadsPrefix", "${x}/"),
        ("UploadsPrefix", "a?b/"),
        ("TableArn", "theirs"),
        ("TableArn", f"{ARN}/index/by-name"),
        ("SourceBucket", "s3://their-bucket"),
        ("SourceBucket", "Their_Bucket"),
    ],
)
def test_names_that_a_role_would_read_otherwise_are_refused(name: str, value: str) -> None:
    # `*` and `?` in a prefix would be wildcards in the producer's role.
    assert len(invalid({name: value}, KNOWN)) == 1
    assert invalid({"UploadsPrefix": "in/2024_a.b-c=d(1)!@/", "TableArn": ARN, "SourceBucket": BUCKET}, KNOWN) == []
