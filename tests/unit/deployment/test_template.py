"""Properties of the templates that no local AWS enforces: protection, permissions, alarms, images."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from engine.cli.deploy import REPOSITORIES
from engine.config import DEFAULT_SPAN_BYTES, MAX_SPAN_BYTES, MIN_SPAN_BYTES, WorkerSettings
from engine.deployment.checkout import CHECKOUT, TEMPLATE
from engine.deployment.parameters import defaults
from engine.deployment.template import read_template
from engine.errors import ConfigError
from tests.builders.cloudformation import rendered

READ = read_template(TEMPLATE.read_text())
PARAMETERS: dict[str, Any] = READ["Parameters"]

# The packaged schema, with a table and a bucket of the stack's own. Others: test_template_schemas.py.
DECIDED = ("SchemaPath", "TableArn", "SourceBucket", "UploadsPrefix", "TtlAttribute", "SortKeyName")
RENDERED = rendered(READ, {name: PARAMETERS[name]["Default"] for name in DECIDED})
RESOURCES: dict[str, Any] = RENDERED["Resources"]

BUCKET = "arn:${AWS::Partition}:s3:::${BucketPrefix}-${AWS::AccountId}-${AWS::Region}"
FUNCTIONS = ("Producer", "Worker", "Query")
QUEUES = ("RecordQueue", "DeadLetterQueue", "FailureQueue", "SpanQueue", "SpanDeadLetterQueue")


def of_type(kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


def arn_of(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def under_bucket(path: str) -> dict[str, str]:
    return {"Fn::Sub": BUCKET + path}


DEFAULT_BUS = {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}

GRANTS = {
    "ProducerRole": {
        "ReadUploads": ({"s3:GetObject", "s3:GetObjectVersion"}, [under_bucket("/uploads/*")]),
        "TellMissingFromForbidden": ({"s3:ListBucket"}, [under_bucket("")]),
        "WriteRejects": ({"s3:PutObject"}, [under_bucket("/rejects/*")]),
        "SendRecords": ({"sqs:SendMessage"}, [arn_of("RecordQueue"), arn_of("FailureQueue"), arn_of("SpanQueue")]),
        "KeepAccounts": ({"dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query"}, [arn_of("Ledger")]),
        "AnnounceTheEnd": ({"events:PutEvents"}, [DEFAULT_BUS]),
        "TakeSpans": ({"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}, [arn_of("SpanQueue")]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [arn_of("ProducerLogs")]),
    },
    "WorkerRole": {
        "TakeRecords": (
            {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
            [arn_of("RecordQueue")],
        ),
        "HandOnRest": ({"sqs:SendMessage"}, [arn_of("RecordQueue")]),
        "WriteItems": ({"dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:DescribeTable"}, [arn_of("Table")]),
        "WriteRejects": ({"s3:PutObject"}, [under_bucket("/rejects/*")]),
        "KeepAccounts": ({"dynamodb:UpdateItem", "dynamodb:Query"}, [arn_of("Ledger")]),
        "AnnounceTheEnd": ({"events:PutEvents"}, [DEFAULT_BUS]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [arn_of("WorkerLogs")]),
    },
    "QueryRole": {
        "ReadItems": ({"dynamodb:Query", "dynamodb:Scan"}, [arn_of("Table")]),
        "ReadAccounts": (
            {"dynamodb:BatchGetItem", "dynamodb:Query"},
            [arn_of("Ledger"), {"Fn::Sub": "${Ledger.Arn}/index/by-time"}],
        ),
        "ReadRejects": ({"s3:GetObject"}, [{"Fn::Sub": "${Bucket.Arn}/rejects/*"}]),
        "FindRejects": ({"s3:ListBucket"}, [arn_of("Bucket")]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [arn_of("QueryLogs")]),
    },
}


KINDS = {
    "AWS::ApiGateway::Account": 1,
    "AWS::ApiGateway::Deployment": 2,
    "AWS::ApiGateway::Method": 5,
    "AWS::ApiGateway::Resource": 4,
    "AWS::ApiGateway::RestApi": 1,
    "AWS::ApiGateway::Stage": 1,
    "AWS::CloudWatch::Alarm": 9,
    "AWS::CloudWatch::Dashboard": 1,
    "AWS::DynamoDB::Table": 2,
    "AWS::IAM::Role": 4,
    "AWS::Lambda::EventInvokeConfig": 1,
    "AWS::Lambda::EventSourceMapping": 2,
    "AWS::Lambda::Function": 3,
    "AWS::Lambda::Permission": 2,
    "AWS::Logs::LogGroup": 4,
    "AWS::S3::Bucket": 1,
    "AWS::S3::BucketPolicy": 1,
    "AWS::SQS::Queue": 5,
    "AWS::SQS::QueuePolicy": 5,
}


def test_template_has_only_known_resources() -> None:
    assert Counter(each["Type"] for each in RESOURCES.values()) == KINDS


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("role", GRANTS)
def test_role_grants_exactly_these_actions_and_resources(role: str) -> None:
    properties = RESOURCES[role]["Properties"]
    assert "ManagedPolicyArns" not in properties
    (policy,) = properties["Policies"]
    granted = {
        statement["Sid"]: (set(as_list(statement["Action"])), as_list(statement["Resource"]))
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    }
    assert granted == GRANTS[role]
    (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_template_has_only_known_roles() -> None:
    assert set(of_type("AWS::IAM::Role")) == {*GRANTS, "ApiAccountRole"}
    account = RESOURCES["ApiAccountRole"]["Properties"]
    (policy,) = account["ManagedPolicyArns"]
    assert policy["Fn::Sub"].endswith(":policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs")
    assert "Policies" not in account


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_an_image_by_digest_with_its_own_role_and_log(name: str) -> None:
    function = of_type("AWS::Lambda::Function")[name]
    assert function["PackageType"] == "Image"
    assert function["Code"] == {"ImageUri": {"Ref": f"{name}Image"}}
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Role"] == arn_of(f"{name}Role")
    assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}
    image = PARAMETERS[f"{name}Image"]
    assert image["AllowedPattern"] == ".+@sha256:[0-9a-f]{64}"
    assert "Default" not in image
    assert PARAMETERS["Architecture"]["Default"] == "arm64"


def test_bucket_is_private_encrypted_and_versioned() -> None:
    bucket = RESOURCES["Bucket"]
    properties = bucket["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(closed, True)


def test_producer_is_notified_of_uploads_but_not_of_rejects() -> None:
    # No suffix: the producer counts and reports a file that it cannot read, such as users.csv.gz.
    (notification,) = RESOURCES["Bucket"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]
    assert notification["Event"] == "s3:ObjectCreated:*"
    assert notification["Function"] == arn_of("Producer")
    assert notification["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "uploads/"}]


def test_objects_are_deleted_only_by_parameters_that_are_off_by_default() -> None:
    uploads, versions, rejects = RESOURCES["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert set(uploads) == {"Id", "Status", "AbortIncompleteMultipartUpload"}
    for rule, condition in ((versions, "VersionsExpire"), (rejects, "RejectsExpire")):
        assert rule["Fn::If"][0] == condition
        assert rule["Fn::If"][2] == {"Ref": "AWS::NoValue"}
        assert rule["Fn::If"][1]["Status"] == "Enabled"
    old = versions["Fn::If"][1]
    assert old["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "NoncurrentVersionDays"}}
    assert "ExpirationInDays" not in old
    assert "Prefix" not in old
    expired = rejects["Fn::If"][1]
    assert expired["Prefix"] == "rejects/"
    assert expired["ExpirationInDays"] == {"Ref": "RejectDays"}
    # Expiry in a versioned bucket leaves the content as a noncurrent version.
    assert expired["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    for condition, parameter in (("VersionsExpire", "NoncurrentVersionDays"), ("RejectsExpire", "RejectDays")):
        assert READ["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}
        assert PARAMETERS[parameter]["Default"] == ""


DAYS = ("RecordTtlDays", "NoncurrentVersionDays", "RejectDays")


@pytest.mark.parametrize("name", DAYS)
def test_days_are_empty_or_an_integer_up_to_36500(name: str) -> None:
    pattern = re.compile(PARAMETERS[name]["AllowedPattern"])
    accepted = [number for number in range(100_001) if pattern.fullmatch(str(number))]
    assert accepted == list(range(1, 36_501))
    assert pattern.fullmatch("")
    assert not any(map(pattern.fullmatch, ("-1", "+1", "01", "1.0", "1e3", " 1", "365000", "x")))


@pytest.mark.parametrize("days", ["", "0", "1", "9", "10", "9999", "10000", "36499", "36500", "36501", "99999", "-1"])
def test_template_and_worker_accept_the_same_ttl(days: str) -> None:
    in_template = re.fullmatch(PARAMETERS["RecordTtlDays"]["AllowedPattern"], days) is not None
    try:
        WorkerSettings.from_env({"RECORD_TTL_DAYS": days})
    except ConfigError:
        in_worker = False
    else:
        in_worker = True
    assert in_template is in_worker


DENY_WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def test_bucket_refuses_calls_without_tls() -> None:
    (statement,) = RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [arn_of("Bucket"), {"Fn::Sub": "${Bucket.Arn}/*"}]
    assert statement["Condition"] == DENY_WITHOUT_TLS


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_refuses_calls_without_tls(queue: str) -> None:
    policy = RESOURCES[f"{queue}Policy"]["Properties"]
    assert policy["Queues"] == [{"Ref": queue}]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
    assert statement["Resource"] == arn_of(queue)
    assert statement["Condition"] == DENY_WITHOUT_TLS


def test_only_its_own_queue_may_use_a_dead_letter_queue() -> None:
    record_queue = {"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${QueueName}"}
    assert RESOURCES["RecordQueue"]["Properties"]["QueueName"] == {"Ref": "QueueName"}
    assert RESOURCES["DeadLetterQueue"]["Properties"]["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [record_queue],
    }
    assert RESOURCES["SpanDeadLetterQueue"]["Properties"]["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [{"Fn::Sub": record_queue["Fn::Sub"] + "-spans"}],
    }


@pytest.mark.parametrize("name", ["Bucket", "BucketPolicy", "Table"])
def test_data_and_its_protection_outlive_the_stack(name: str) -> None:
    assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", QUEUES)
def test_queues_are_encrypted_and_keep_messages_for_14_days(name: str) -> None:
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"  # with the messages that are in it
    queue = RESOURCES[name]["Properties"]
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_failed_events_and_messages_are_kept() -> None:
    queue = RESOURCES["RecordQueue"]["Properties"]
    assert queue["VisibilityTimeout"] == {"Ref": "QueueVisibilityTimeout"}
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": arn_of("DeadLetterQueue"),
        "maxReceiveCount": {"Ref": "MaxReceiveCount"},
    }
    assert PARAMETERS["MaxReceiveCount"]["Default"] == 5
    producer = RESOURCES["Producer"]["Properties"]["Environment"]["Variables"]
    assert producer["QUEUE_URL"] == {"Ref": "RecordQueue"}
    for name in ("Worker", "Query"):
        assert RESOURCES[name]["Properties"]["Environment"]["Variables"]["TABLE_NAME"] == {"Ref": "Table"}
    worker = RESOURCES["Worker"]["Properties"]
    assert worker["Environment"]["Variables"]["QUEUE_URL"] == {"Ref": "RecordQueue"}
    assert worker["RecursiveLoop"] == "Allow"  # it sends to the queue that invokes it
    assert "RecursiveLoop" not in RESOURCES["Query"]["Properties"]
    invocation = RESOURCES["ProducerInvocation"]["Properties"]
    assert invocation["DestinationConfig"] == {"OnFailure": {"Destination": arn_of("FailureQueue")}}
    assert PARAMETERS["QueueVisibilityTimeout"]["Default"] == 6 * PARAMETERS["WorkerTimeout"]["Default"]
    source = RESOURCES["WorkerSource"]["Properties"]
    assert (source["EventSourceArn"], source["FunctionName"]) == (arn_of("RecordQueue"), {"Ref": "Worker"})
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {
        "Fn::If": [
            "PollersAreOn",
            {"Ref": "AWS::NoValue"},
            {"MaximumConcurrency": {"Ref": "WorkerMaximumConcurrency"}},
        ]
    }


@pytest.mark.parametrize(
    ("pollers", "limit"),
    [
        ("0", {"ScalingConfig": {"MaximumConcurrency": "10"}}),
        ("5", {"ProvisionedPollerConfig": {"MinimumPollers": "2", "MaximumPollers": "5"}}),
    ],
)
def test_workers_are_limited_by_concurrency_or_by_pollers(pollers: str, limit: dict[str, Any]) -> None:
    chosen = {**defaults(PARAMETERS), "WorkerMaximumPollers": pollers}
    source = rendered(READ, chosen)["Resources"]["WorkerSource"]["Properties"]
    assert {name: source[name] for name in ("ScalingConfig", "ProvisionedPollerConfig") if name in source} == limit


@pytest.mark.parametrize("rate", ["0", "500"])
def test_worker_has_a_rate_only_if_one_is_stated(rate: str) -> None:
    chosen = {**defaults(PARAMETERS), "WriteRate": rate}
    variables = rendered(READ, chosen)["Resources"]["Worker"]["Properties"]["Environment"]["Variables"]
    assert variables.get("WRITE_RATE") == (None if rate == "0" else "500")
    assert variables["LEDGER_TABLE"] == {"Ref": "Ledger"}


def test_rest_of_a_file_invokes_the_producer_again() -> None:
    producer = RESOURCES["Producer"]["Properties"]
    assert producer["Environment"]["Variables"]["SPAN_QUEUE_URL"] == {"Ref": "SpanQueue"}
    assert producer["RecursiveLoop"] == "Allow"  # it sends to the queue that invokes it
    queue, source = RESOURCES["SpanQueue"]["Properties"], RESOURCES["SpanSource"]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * PARAMETERS["ProducerTimeout"]["MaxValue"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": arn_of("SpanDeadLetterQueue"),
        "maxReceiveCount": {"Ref": "MaxReceiveCount"},
    }
    assert queue["QueueName"] == {"Fn::Sub": "${QueueName}-spans"}
    assert (source["EventSourceArn"], source["FunctionName"]) == (arn_of("SpanQueue"), {"Ref": "Producer"})
    assert (source["BatchSize"], source["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])


def test_only_bucket_and_api_of_this_account_invoke_functions() -> None:
    permissions = of_type("AWS::Lambda::Permission")
    assert set(permissions) == {"ProducerPermission", "QueryPermission"}
    producer = permissions["ProducerPermission"]
    assert producer["Principal"] == "s3.amazonaws.com"
    assert producer["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert producer["SourceArn"] == under_bucket("")
    assert permissions["QueryPermission"]["Principal"] == "apigateway.amazonaws.com"
    api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"
    assert permissions["QueryPermission"]["SourceArn"] == {"Fn::Sub": api}


def test_table_has_recovery_time_to_live_and_throughput_limits() -> None:
    table = RESOURCES["Table"]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expirationTime", "Enabled": True}
    assert table["BillingMode"] == {"Fn::If": ["TableIsProvisioned", "PROVISIONED", "PAY_PER_REQUEST"]}
    assert table["OnDemandThroughput"]["Fn::If"][:2] == [
        "TableHasMaximum",
        {"MaxWriteRequestUnits": {"Ref": "TableMaxWriteUnits"}},
    ]


def test_table_deletion_protection_is_a_parameter() -> None:
    protection = RESOURCES["Table"]["Properties"]["DeletionProtectionEnabled"]
    assert protection == {"Fn::If": ["TableIsProtected", True, False]}
    assert READ["Conditions"]["TableIsProtected"] == {"Fn::Equals": [{"Ref": "TableDeletionProtection"}, "on"]}
    parameter = PARAMETERS["TableDeletionProtection"]
    assert (parameter["AllowedValues"], parameter["Default"]) == (["on", "off"], "off")


@pytest.mark.parametrize("function", ["Producer", "Query"])
def test_concurrency_is_reserved_only_on_request(function: str) -> None:
    name = f"{function}ReservedConcurrency"
    reserved = RESOURCES[function]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": [f"{function}IsReserved", {"Ref": name}, {"Ref": "AWS::NoValue"}]}
    assert READ["Conditions"][f"{function}IsReserved"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, -1]}]}
    assert (PARAMETERS[name]["Default"], PARAMETERS[name]["MinValue"]) == (-1, -1)
    # The worker's limit is that of its event source: reserved concurrency makes Lambda throttle what SQS has delivered.
    assert "ReservedConcurrentExecutions" not in RESOURCES["Worker"]["Properties"]


def test_account_role_for_api_logs_is_set_only_on_request() -> None:
    assert PARAMETERS["ApiAccessLogs"]["Default"] == "off"
    assert PARAMETERS["ApiAccessLogs"]["AllowedValues"] == ["off", "on", "account-role"]
    assert READ["Conditions"]["AccountRoleIsSet"] == {"Fn::Equals": [{"Ref": "ApiAccessLogs"}, "account-role"]}
    assert READ["Conditions"]["AccessIsLogged"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ApiAccessLogs"}, "off"]}]}
    for name in ("ApiAccount", "ApiAccountRole"):
        assert RESOURCES[name]["Condition"] == "AccountRoleIsSet"
    assert RESOURCES["ApiLogs"]["Condition"] == "AccessIsLogged"
    assert RESOURCES["ApiStage"]["Properties"]["AccessLogSetting"]["Fn::If"][::2] == [
        "AccessIsLogged",
        {"Ref": "AWS::NoValue"},
    ]


def test_every_parameter_is_in_a_group_of_the_console() -> None:
    groups = READ["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(PARAMETERS)


def test_api_is_signed_throttled_and_logged_without_addresses() -> None:
    methods = of_type("AWS::ApiGateway::Method")
    assert all(method["AuthorizationType"] == {"Ref": "ApiAuthorization"} for method in methods.values())
    assert PARAMETERS["ApiAuthorization"]["Default"] == "AWS_IAM"
    stage = RESOURCES["ApiStage"]["Properties"]
    (throttle,) = stage["MethodSettings"]
    assert throttle == {
        "HttpMethod": "*",
        "ResourcePath": "/*",
        "ThrottlingRateLimit": {"Ref": "ApiRateLimit"},
        "ThrottlingBurstLimit": {"Ref": "ApiBurstLimit"},
    }
    logged = stage["AccessLogSetting"]["Fn::If"][1]
    assert logged["DestinationArn"] == arn_of("ApiLogs")
    assert "$context.status" in logged["Format"]
    assert "$context.path" not in logged["Format"]


def test_resources_are_created_in_order() -> None:
    methods = set(of_type("AWS::ApiGateway::Method"))
    for name in ("SignedDeployment", "OpenDeployment"):
        assert set(RESOURCES[name]["DependsOn"]) == methods  # a snapshot has only the methods there are
    assert RESOURCES["Bucket"]["DependsOn"] == "ProducerPermission"
    # Lambda refuses a timeout above the queue's visibility timeout, so the queue is changed first.
    assert RESOURCES["Worker"]["Properties"]["Environment"]["Variables"]["QUEUE_URL"] == {"Ref": "RecordQueue"}
    assert RESOURCES["ApiAccount"]["DeletionPolicy"] == RESOURCES["ApiAccountRole"]["DeletionPolicy"] == "Retain"
    conditions = READ["Conditions"]
    assert conditions["AnyoneMayCall"] == {"Fn::Equals": [{"Ref": "ApiAuthorization"}, "NONE"]}
    assert conditions["CallersSign"] == {"Fn::Not": [{"Condition": "AnyoneMayCall"}]}
    assert conditions["SomeoneIsTold"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]}
    assert conditions["TableIsProvisioned"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "TableWriteCapacity"}, 0]}]}


def test_every_log_has_the_configured_retention() -> None:
    logs = of_type("AWS::Logs::LogGroup")
    assert set(logs) == {"ProducerLogs", "WorkerLogs", "QueryLogs", "ApiLogs"}
    assert all(log["RetentionInDays"] == {"Ref": "LogRetentionDays"} for log in logs.values())


QUEUE_NAME = {name: {"Fn::GetAtt": [name, "QueueName"]} for name in QUEUES}
ALARMS = {
    "SpanDeadLetterAlarm": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        QUEUE_NAME["SpanDeadLetterQueue"],
        "Maximum",
    ),
    "DeadLetterAlarm": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        QUEUE_NAME["DeadLetterQueue"],
        "Maximum",
    ),
    "FailedFileAlarm": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        QUEUE_NAME["FailureQueue"],
        "Maximum",
    ),
    "OldestMessageAlarm": (
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        "QueueName",
        QUEUE_NAME["RecordQueue"],
        "Maximum",
    ),
    "WorkerErrorAlarm": ("AWS/Lambda", "Errors", "FunctionName", {"Ref": "Worker"}, "Sum"),
    "WorkerThrottleAlarm": ("AWS/Lambda", "Throttles", "FunctionName", {"Ref": "Worker"}, "Sum"),
    "TableThrottleAlarm": ("AWS/DynamoDB", "WriteThrottleEvents", "TableName", {"Ref": "Table"}, "Sum"),
    "RefusedFileAlarm": ("Millpond", "ObjectsFailed", "FunctionName", {"Ref": "Producer"}, "Sum"),
    "SkippedFileAlarm": ("Millpond", "ObjectsSkipped", "FunctionName", {"Ref": "Producer"}, "Sum"),
}
THRESHOLDS = {"OldestMessageAlarm": {"Ref": "OldestMessageSeconds"}, "TableThrottleAlarm": 1000}


def test_alarms_watch_existing_metrics() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    watched = {}
    for name, alarm in alarms.items():
        (dimension,) = alarm["Dimensions"]
        watched[name] = (
            alarm["Namespace"],
            alarm["MetricName"],
            dimension["Name"],
            dimension["Value"],
            alarm["Statistic"],
        )
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert "ActionsEnabled" not in alarm
        assert alarm["Threshold"] == THRESHOLDS.get(name, 0)
        assert alarm["AlarmActions"]["Fn::If"][:2] == ["SomeoneIsTold", [{"Ref": "AlarmTopicArn"}]]
    assert watched == ALARMS


@pytest.mark.parametrize("name", ["RefusedFileAlarm", "SkippedFileAlarm"])
def test_alarm_about_a_file_lasts_an_hour(name: str) -> None:
    # The metric has one data point for each file: an alarm over one minute would end before anyone sees it.
    alarm = RESOURCES[name]["Properties"]
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (60, 60, 1)
    assert alarm["TreatMissingData"] == "notBreaching"


METRICS = {
    "Producer": {"ObjectsCompleted", "ObjectsFailed", "ObjectsSkipped", "RowsRead", "RowsRejected"},
    "Worker": {"RowsWritten", "RowsRejected", "MessagesReturned", "MessagesHandedOn"},
}


def test_dashboard_is_json_and_shows_each_metric_of_files_and_rows() -> None:
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    shown: dict[str, set[str]] = {}
    for widget in widgets:
        row: list[str] = []
        for metric in widget["properties"].get("metrics", []):
            names = [each for each in metric if isinstance(each, str)]  # without options such as {"stat": "p99"}
            if names[0] == "...":
                row = [*row[: len(row) - len(names) + 1], *names[1:]]
            else:
                row = [row[place] if each == "." else each for place, each in enumerate(names)]
            if row[0] == "Millpond":
                _, name, dimension, function = row
                assert dimension == "FunctionName"
                shown.setdefault(function.strip("${}"), set()).add(name)
    assert shown == METRICS
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places)


def test_repositories_scan_keep_their_tags_and_let_lambda_pull() -> None:
    repositories = read_template(REPOSITORIES.read_text())["Resources"]
    assert set(repositories) == {f"{function}Repository" for function in FUNCTIONS}
    for each in repositories.values():
        properties = each["Properties"]
        assert properties["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert properties["EmptyOnDelete"] is True
        assert properties["ImageTagMutability"] == "IMMUTABLE"
        assert '"countNumber": 20' in properties["LifecyclePolicy"]["LifecyclePolicyText"]
        (statement,) = properties["RepositoryPolicyText"]["Statement"]
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert set(statement["Action"]) == {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
        (condition,) = statement["Condition"]["StringLike"].items()
        assert condition == (
            "aws:SourceArn",
            {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"},
        )


def test_size_of_spans_is_text_with_the_usual_default() -> None:
    parameter = PARAMETERS["SpanBytes"]
    assert (parameter["Type"], parameter["Default"]) == ("String", str(DEFAULT_SPAN_BYTES))
    assert all(re.fullmatch(parameter["AllowedPattern"], str(each)) for each in (MIN_SPAN_BYTES, MAX_SPAN_BYTES))
    assert RESOURCES["Producer"]["Properties"]["Environment"]["Variables"]["SPAN_BYTES"] == {"Ref": "SpanBytes"}


def test_configuration_page_has_each_parameter_with_its_default() -> None:
    page = (CHECKOUT / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", page.partition("## Parameters of the template")[2], re.M))
    assert set(rows) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        match parameter.get("Default"):
            case None:
                assert rows[name] == "required"
            case "":
                assert rows[name].startswith("empty: ")
            case default:
                assert rows[name] == f"`{default}`"


def test_deploy_page_has_each_alarm_and_metric() -> None:
    page = (CHECKOUT / "docs" / "deploy.md").read_text()
    for name in (*of_type("AWS::CloudWatch::Alarm"), *METRICS["Producer"], *METRICS["Worker"]):
        assert f"`{name}`" in page
