"""`millpond deploy` and `millpond destroy` from end to end, on the local AWS; Docker only says that it pushed."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.cli.command import main
from tests.e2e.command import DIGEST, Command


def test_stack_is_deployed_updated_and_destroyed(millpond: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = millpond("deploy", *millpond.names, "--plan")
    assert (code, millpond.docker) == (0, [])
    assert "add" in said
    assert "Worker " in said
    code, said = millpond("deploy", *millpond.names, "--tag", "team=pond")
    assert code == 0, said
    assert [millpond.docker.count(step) for step in ("build", "login", "push")] == [3, 1, 3]
    assert f"--stack {millpond.name}" in said
    function = millpond.ask("lambda", "get_function", FunctionName=f"{millpond.name}-worker")
    assert function["Code"]["ImageUri"].endswith(f"/{millpond.name}-worker@{DIGEST}")
    (stack,) = millpond.ask("cloudformation", "describe_stacks", StackName=millpond.name)["Stacks"]
    assert {"Key": "team", "Value": "pond"} in stack["Tags"]
    code, said = millpond("deploy", *millpond.names, "--tag", "team=pond")
    assert code == 0
    assert "nothing to do" in said
    code, said = millpond("deploy", "--parameter=LogRetentionDays=90", "--architecture=arm64", "--plan")
    assert code == 0
    assert "modify   WorkerLogs" in said
    code, said = millpond("deploy", "--parameter=LogRetentionDays=90", "--architecture=arm64")
    assert code == 0, said
    code, said = millpond("deploy")  # what is not said stays as it was: parameters, tags, architecture
    assert code == 0
    assert "nothing to do" in said

    monkeypatch.setattr("builtins.input", lambda _: "another name")
    code, said = millpond("destroy")
    assert code == 2
    assert "nothing was deleted" in said
    monkeypatch.setattr("builtins.input", lambda _: millpond.name)
    code, said = millpond("destroy")
    assert code == 0, said
    assert millpond.name in millpond.ask("dynamodb", "list_tables")["TableNames"]
    code, said = millpond("destroy")
    assert code == 2
    assert "There is no stack" in said
    code, said = millpond("deploy", *millpond.names)  # which would make what was kept once more
    assert (code, millpond.docker) == (2, ["version"])
    assert f"a table named {millpond.name} (--parameter TableName=…)" in said
    assert "a queue named" not in said
    code, said = millpond("deploy", *millpond.names, "--parameter=NoSuch=1", "--parameter=WorkerTimeout=x", "--plan")
    assert code == 2
    assert f"a table named {millpond.name} (--parameter TableName=…)" in said
    assert "There is no parameter NoSuch" in said
    assert "WorkerTimeout must be" in said


def test_table_is_replaced_only_after_confirmation(millpond: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert millpond("deploy", *millpond.names)[0] == 0
    monkeypatch.setattr("builtins.input", lambda _: "")
    code, said = millpond("deploy", f"--parameter=TableName={millpond.name}-new")
    assert code == 2
    assert "Table would be replaced: the old one keeps its content" in said
    tables = millpond.ask("dynamodb", "list_tables")["TableNames"]
    assert f"{millpond.name}-new" not in tables
    code, said = millpond("deploy", f"--parameter=TableName={millpond.name}-new", "--yes")
    assert code == 0, said
    tables = millpond.ask("dynamodb", "list_tables")["TableNames"]
    assert {millpond.name, f"{millpond.name}-new"} <= set(tables)


def test_data_is_deleted_only_on_request(millpond: Command) -> None:
    assert millpond("deploy", *millpond.names)[0] == 0
    outputs = {
        each["OutputKey"]: each["OutputValue"]
        for each in millpond.ask("cloudformation", "describe_stacks", StackName=millpond.name)["Stacks"][0]["Outputs"]
    }
    for body in (b"1", b"2"):  # two versions
        millpond.ask("s3", "put_object", Bucket=outputs["BucketName"], Key="uploads/kept.txt", Body=body)
    millpond.ask("s3", "delete_object", Bucket=outputs["BucketName"], Key="uploads/kept.txt")
    for text in ("one", "another"):
        millpond.ask("sqs", "send_message", QueueUrl=outputs["DeadLetterQueueUrl"], MessageBody=text)
    code, said = millpond("destroy", "--delete-data", "--yes")
    assert code == 0, said
    assert re.search(r"messages in the dead-letter queue +2: deleted", said)
    assert "messages in the record queue" not in said
    assert millpond.name not in millpond.ask("dynamodb", "list_tables")["TableNames"]
    buckets = [bucket["Name"] for bucket in millpond.ask("s3", "list_buckets")["Buckets"]]
    assert outputs["BucketName"] not in buckets


def test_protected_table_stops_delete_data_before_any_deletion(millpond: Command) -> None:
    assert millpond("deploy", *millpond.names, "--parameter=TableDeletionProtection=on")[0] == 0
    code, said = millpond("destroy", "--delete-data", "--yes")
    assert code == 2
    assert f"Table {millpond.name} is protected against deletion" in said
    assert f"deploy --stack {millpond.name} --parameter TableDeletionProtection=off" in said
    assert millpond.name in millpond.ask("dynamodb", "list_tables")["TableNames"]
    (stack,) = millpond.ask("cloudformation", "describe_stacks", StackName=millpond.name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert millpond("deploy", "--parameter=TableDeletionProtection=off")[0] == 0
    assert millpond("destroy", "--delete-data", "--yes")[0] == 0
    assert millpond.name not in millpond.ask("dynamodb", "list_tables")["TableNames"]


def test_protected_table_is_kept_when_stack_is_destroyed(millpond: Command) -> None:
    assert millpond("deploy", *millpond.names, "--parameter=TableDeletionProtection=on")[0] == 0
    code, said = millpond("destroy", "--yes")
    assert code == 0, said
    assert millpond.name in millpond.ask("dynamodb", "list_tables")["TableNames"]


def test_plan_shows_new_code(millpond: Command) -> None:
    assert millpond("deploy", *millpond.names)[0] == 0
    millpond.put_images()
    code, said = millpond("deploy", "--plan")
    assert code == 0
    assert "nothing to do" in said
    worker, any_image = f"{millpond.name}-worker", [{"imageDigest": DIGEST}]
    millpond.ask("ecr", "batch_delete_image", repositoryName=worker, imageIds=any_image)
    code, said = millpond("deploy", "--plan")
    assert code == 0
    assert "would build worker" in said
    assert re.search(r"modify +Worker ", said)
    assert millpond("destroy", "--delete-data", "--yes")[0] == 0


def test_protected_stack_is_not_destroyed(millpond: Command) -> None:
    assert millpond("deploy", *millpond.names)[0] == 0
    protection = {"StackName": millpond.name, "EnableTerminationProtection": True}
    millpond.ask("cloudformation", "update_termination_protection", **protection)
    code, said = millpond("destroy", "--delete-data", "--yes")
    assert code == 2
    assert "is protected against termination" in said
    assert millpond.name in millpond.ask("dynamodb", "list_tables")["TableNames"]


def test_unanswered_confirmation_leaves_no_change_set(millpond: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert millpond("deploy", *millpond.names)[0] == 0
    executed = millpond.ask("cloudformation", "list_change_sets", StackName=millpond.name)["Summaries"]
    for answer, code, said in ((EOFError, 2, "There is no terminal to ask"), (KeyboardInterrupt, 130, "Interrupted")):
        monkeypatch.setattr("builtins.input", Mock(side_effect=answer))
        ended, told = millpond("deploy", f"--parameter=TableName={millpond.name}-new")
        assert ended == code
        assert said in told
        assert millpond.ask("cloudformation", "list_change_sets", StackName=millpond.name)["Summaries"] == executed


@pytest.mark.parametrize("suffix", ["", "-images"])
def test_foreign_stack_is_not_changed(millpond: Command, suffix: str) -> None:
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": f"{millpond.name}-theirs",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        },
    }
    theirs = {"Resources": {"T": table}, "Outputs": {"TableName": {"Value": {"Ref": "T"}}}}
    millpond.ask(
        "cloudformation", "create_stack", StackName=f"{millpond.name}{suffix}", TemplateBody=json.dumps(theirs)
    )
    for command in (["deploy", *millpond.names], ["deploy", "--plan"], ["destroy", "--delete-data", "--yes"]):
        code, said = millpond(*command)
        assert code == 2
        assert f"There is a stack named {millpond.name}{suffix} that Millpond did not create" in said
        assert f"{millpond.name}-theirs" in millpond.ask("dynamodb", "list_tables")["TableNames"]


def test_partial_deployment_can_be_destroyed(millpond: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKS", "build")
    code, said = millpond("deploy", *millpond.names)
    assert code == 2
    assert "was not built" in said
    code, said = millpond("destroy", "--yes")  # the repositories were there by then
    assert code == 0, said
    assert f"{millpond.name}-images is deleted" in said
    monkeypatch.delenv("BREAKS")
    assert millpond("deploy", *millpond.names)[0] == 0
    millpond.ask("dynamodb", "delete_table", TableName=millpond.name)  # by hand
    code, said = millpond("destroy", "--delete-data", "--yes")
    assert code == 0, said
    buckets = [bucket["Name"] for bucket in millpond.ask("s3", "list_buckets")["Buckets"]]
    assert not any(bucket.startswith(millpond.name) for bucket in buckets)


def test_endpoint_that_is_not_aws_is_named(millpond: Command, capsys: pytest.CaptureFixture[str]) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html><body>Welcome</body></html>")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        code = main(["deploy", "--endpoint-url", f"http://127.0.0.1:{server.server_port}", "--region", "us-east-1"])
        server.shutdown()
        thread.join()
    assert code == 2
    assert "answers, but not as AWS does" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "1st", "a--b", "pond-", "p" * 56, "a b", "teich_1", "pond-Images"])
@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_invalid_stack_name_is_refused(capsys: pytest.CaptureFixture[str], command: str, name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--stack", name])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "is not a valid stack name" in said or "is reserved for the images of the stack 'pond'" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--parameter=NoSuch=1"], "There is no parameter NoSuch to set"),
        (["--parameter=WorkerImage=x"], "There is no parameter WorkerImage to set"),
        (["--parameter=ApiAuthorization=OPEN"], "ApiAuthorization must be one of AWS_IAM, NONE"),
        (["--parameter=WorkerTimeout=901"], "WorkerTimeout must be a whole number from 5 to 900"),
        (["--parameter=TableName=a b"], "TableName cannot be 'a b'. Name of the table that records are written to"),
        (["--parameter=Architecture=arm64"], "Use --architecture arm64"),
        (["--parameter=LogRetentionDays=2"], "LogRetentionDays must be one of 1, 3, 5"),
        (["--parameter=TableMaxWriteUnits=0"], "TableMaxWriteUnits must be -1"),
        (["--parameter=WorkerTimeout=100"], "--parameter QueueVisibilityTimeout=600"),
        (["--parameter=WorkerBatchSize=100"], "--parameter WorkerBatchWindow=1"),
        (["--tag=application=shop"], "The tag application marks Millpond's stacks"),
        (["--builder=podman"], "podman is not installed"),
    ],
)
def test_mistakes_are_reported_before_anything_is_built(
    millpond: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, told = millpond("deploy", *millpond.names, *options)
    assert (code, millpond.docker) in [(2, []), (2, ["version"])]
    assert said in told
    described = millpond.ask("cloudformation", "list_stacks")["StackSummaries"]
    assert millpond.name not in json.dumps(described, default=str)
