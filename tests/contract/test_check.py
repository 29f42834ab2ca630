"""`millpond check` of an object in S3."""

import json

import pytest

from engine.cli.command import main
from tests.contract.clouds import Cloud


def test_object_is_checked_where_it_is(moto: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = moto.bucket()
    rows = [f"A{row},a{row}@x.de" for row in range(60_000)]
    moto.put(bucket, "uploads/a b.csv", "\n".join(["name,mail", *rows, ",b@x.de"]).encode())
    address = f"s3://{bucket}/uploads/a b.csv"
    assert main(["check", address, "--endpoint-url", moto.endpoint, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["valid"], document["rejected"]) == (60_001, 60_000, 1)


def test_missing_object_is_said(moto: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = moto.bucket()
    assert main(["check", f"s3://{bucket}/none.csv", "--endpoint-url", moto.endpoint]) == 2
    assert "NoSuchKey" in capsys.readouterr().err
