"""What the templates promise for production and no local AWS enforces: protection, permissions, alarms, images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from engine.cli.deploy import REPOSITORIES
from engine.local.packaging import read_template
from engine.local.stack import TEMPLATE

READ = read_template(TEMPLATE.read_text())
RESOURCES: dict[str, Any] = READ["Resources"]
PARAMETERS: dict[str, Any] = READ["Parameters"]

BUCKET = "arn:${AWS::Partition}:s3:::${BucketPrefix}-${AWS::AccountId}-${AWS::Region}"
FUNCTIONS = ("Producer", "Worker", "Query")
QUEUES = ("RecordQueue", "DeadLetterQueue", "FailureQueue")


def of_type(kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


def arn_of(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def under_bucket(path: str) -> dict[str, str]:
    return {"Fn::Sub": BUCKET + path}


GRANTS = {
    "ProducerRole": {
        "ReadUploads": ({"s3:GetObject", "s3:GetObjectVersion"}, [under_bucket("/uploads/*")]),
        "TellMissingFromForbidden": ({"s3:ListBucket"}, [under_bucket("")]),
        "WriteRejects": ({"s3:PutObject"}, [under_bucket("/rejects/*")]),
        "SendRecords": ({"sqs:SendMessage"}, [arn_of("RecordQueue"), arn_of("FailureQueue")]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [arn_of("ProducerLogs")]),
    },
    "WorkerRole": {
        "TakeRecords": (
            {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
            [arn_of("RecordQueue")],
        ),
        "WriteItems": ({"dynamodb:BatchWriteItem"}, [arn_of("Table")]),
        "WriteRejects": ({"s3:PutObject"}, [under_bucket("/rejects/*")]),
        "Log": ({"logs:CreateLogStream", "logs:PutLogEvents"}, [arn_of("WorkerLogs")]),
    },
    "QueryRole": {
        "ReadItems": ({"dynamodb:Query", "dynamodb:Scan"}, [arn_of("Table")]),
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
    "AWS::CloudWatch::Alarm": 6,
    "AWS::CloudWatch::Dashboard": 1,
    "AWS::DynamoDB::Table": 1,
    "AWS::IAM::Role": 4,
    "AWS::Lambda::EventInvokeConfig": 1,
    "AWS::Lambda::EventSourceMapping": 1,
    "AWS::Lambda::Function": 3,
    "AWS::Lambda::Permission": 2,
    "AWS::Logs::LogGroup": 4,
    "AWS::S3::Bucket": 1,
    "AWS::S3::BucketPolicy": 1,
    "AWS::SQS::Queue": 3,
}


def test_nothing_is_deployed_that_these_tests_do_not_know() -> None:
    assert Counter(each["Type"] for each in RESOURCES.values()) == KINDS


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_grants_these_actions_on_these_resources_and_no_others(role: str) -> None:
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


def test_there_are_no_more_roles_than_these_and_that_of_the_api() -> None:
    assert set(of_type("AWS::IAM::Role")) == {*GRANTS, "ApiAccountRole"}
    account = RESOURCES["ApiAccountRole"]["Properties"]
    (policy,) = account["ManagedPolicyArns"]
    assert policy["Fn::Sub"].endswith(":policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs")
    assert "Policies" not in account


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_an_image_by_its_digest_with_its_own_role_and_log(name: str) -> None:
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


def test_the_bucket_is_closed_encrypted_and_versioned() -> None:
    bucket = RESOURCES["Bucket"]
    properties = bucket["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(closed, True)
    (rule,) = properties["LifecycleConfiguration"]["Rules"]  # nothing that is whole is ever deleted
    assert set(rule) == {"Id", "Status", "AbortIncompleteMultipartUpload"}
    filters = [
        {rule["Name"]: rule["Value"] for rule in each["Filter"]["S3Key"]["Rules"]}
        for each in properties["NotificationConfiguration"]["LambdaConfigurations"]
    ]
    assert filters == [{"prefix": "uploads/", "suffix": ".csv"}, {"prefix": "uploads/", "suffix": ".CSV"}]


def test_the_bucket_takes_nothing_without_tls() -> None:
    (statement,) = RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [arn_of("Bucket"), {"Fn::Sub": "${Bucket.Arn}/*"}]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


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


def test_what_fails_goes_where_it_is_seen() -> None:
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
    invocation = RESOURCES["ProducerInvocation"]["Properties"]
    assert invocation["DestinationConfig"] == {"OnFailure": {"Destination": arn_of("FailureQueue")}}
    assert PARAMETERS["QueueVisibilityTimeout"]["Default"] == 6 * PARAMETERS["WorkerTimeout"]["Default"]
    source = RESOURCES["WorkerSource"]["Properties"]
    assert (source["EventSourceArn"], source["FunctionName"]) == (arn_of("RecordQueue"), {"Ref": "Worker"})
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "WorkerMaximumConcurrency"}}


def test_only_this_accounts_bucket_and_api_invoke_functions() -> None:
    permissions = of_type("AWS::Lambda::Permission")
    assert set(permissions) == {"ProducerPermission", "QueryPermission"}
    producer = permissions["ProducerPermission"]
    assert producer["Principal"] == "s3.amazonaws.com"
    assert producer["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert producer["SourceArn"] == under_bucket("")
    assert permissions["QueryPermission"]["Principal"] == "apigateway.amazonaws.com"
    api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"
    assert permissions["QueryPermission"]["SourceArn"] == {"Fn::Sub": api}


def test_the_table_can_be_restored_forgets_in_time_and_can_be_bounded() -> None:
    table = RESOURCES["Table"]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expirationTime", "Enabled": True}
    assert table["BillingMode"] == {"Fn::If": ["TableIsProvisioned", "PROVISIONED", "PAY_PER_REQUEST"]}
    assert table["OnDemandThroughput"]["Fn::If"][:2] == [
        "TableHasMaximum",
        {"MaxWriteRequestUnits": {"Ref": "TableMaxWriteUnits"}},
    ]


def test_the_api_is_signed_throttled_and_logged_without_addresses() -> None:
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


def test_what_must_be_made_first_is_made_first() -> None:
    methods = set(of_type("AWS::ApiGateway::Method"))
    for name in ("SignedDeployment", "OpenDeployment"):
        assert set(RESOURCES[name]["DependsOn"]) == methods  # a snapshot has only the methods there are
    assert RESOURCES["Bucket"]["DependsOn"] == "ProducerPermission"
    assert RESOURCES["Worker"]["DependsOn"] == "RecordQueue"
    assert RESOURCES["ApiAccount"]["DeletionPolicy"] == RESOURCES["ApiAccountRole"]["DeletionPolicy"] == "Retain"
    conditions = READ["Conditions"]
    assert conditions["AnyoneMayCall"] == {"Fn::Equals": [{"Ref": "ApiAuthorization"}, "NONE"]}
    assert conditions["CallersSign"] == {"Fn::Not": [{"Condition": "AnyoneMayCall"}]}
    assert conditions["SomeoneIsTold"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]}
    assert conditions["TableIsProvisioned"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "TableWriteCapacity"}, 0]}]}


def test_every_log_is_kept_for_as_long_as_is_said_and_no_longer() -> None:
    logs = of_type("AWS::Logs::LogGroup")
    assert set(logs) == {"ProducerLogs", "WorkerLogs", "QueryLogs", "ApiLogs"}
    assert all(log["RetentionInDays"] == {"Ref": "LogRetentionDays"} for log in logs.values())


QUEUE_NAME = {name: {"Fn::GetAtt": [name, "QueueName"]} for name in QUEUES}
ALARMS = {
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
}
THRESHOLDS = {"OldestMessageAlarm": {"Ref": "OldestMessageSeconds"}, "TableThrottleAlarm": 1000}


def test_alarms_watch_metrics_that_there_are() -> None:
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
