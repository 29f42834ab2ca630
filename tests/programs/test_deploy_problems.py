"""`millpond deploy` where everything is missing: it names all of it at once, and calls nobody."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.cli.command import main
from engine.deployment.checkout import CHECKOUT

EXAMPLE = CHECKOUT / "examples" / "users.csv"

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

DOCKER_OFF = f"""#!{sys.executable}
import sys
print("Client: Version 28.2.2")
print("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", file=sys.stderr)
sys.exit(1)
"""


@pytest.fixture
def docker_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER_OFF)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("docker_off")
def test_all_problems_are_named_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without(monkeypatch, *CREDENTIALS, *REGIONS)
    options = [
        "--parameter=NoSuch=1",
        "--parameter=WorkerTimeout=901",
        "--parameter=RecordTtlDays=0",
        "--tag=application=x",
    ]
    assert main(["deploy", *options]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "millpond: 7 things are missing or wrong:"
    for words in (
        "There is no parameter NoSuch",
        "WorkerTimeout must be",
        "RecordTtlDays cannot be '0'",
        "The tag application",
        "Docker is installed, but its engine does not answer (Cannot connect to the Docker daemon",
        "No AWS credentials found",
        "No AWS region set",
    ):
        assert sum(words in line for line in lines) == 1
    assert len(lines) == 7
    assert all(line.startswith("  - ") for line in lines)


@pytest.mark.usefixtures("docker_off")
def test_unknown_parameter_does_not_hide_conflicts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, *REGIONS)
    wrong = ["NoSuch=1", "WorkerTimeout=100", "QueryMemory=1", "TableMaxWriteUnits=0", "WorkerBatchSize=ten"]
    assert main(["deploy", "--plan", *(f"--parameter={each}" for each in wrong)]) == 2
    _, *lines = capsys.readouterr().err.splitlines()
    for words in (
        "There is no parameter NoSuch",
        "--parameter QueueVisibilityTimeout=600",
        "QueryMemory must be",
        "TableMaxWriteUnits must be -1",
        "WorkerBatchSize must be",
        "No AWS region set",
    ):
        assert sum(words in line for line in lines) == 1
    assert len(lines) == 6


@pytest.mark.usefixtures("docker_off")
@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("eu-centrl-1", "There is no AWS region eu-centrl-1. Did you mean eu-central-1?"),
        ("us-gov-wst-1", "There is no AWS region us-gov-wst-1. Did you mean us-gov-west-1?"),
        ("frankfurt", "There is no AWS region frankfurt. There are: af-south-1, "),
    ],
)
def test_nonexistent_region_is_named(capsys: pytest.CaptureFixture[str], region: str, said: str) -> None:
    for command in (["deploy", "--plan"], ["destroy", "--yes"], ["ingest", str(EXAMPLE)]):
        assert main([*command, "--region", region]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.usefixtures("docker_off")
def test_single_problem_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "--plan", "--region", "eu-centrl-1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("millpond: There is no AWS region")


@pytest.mark.usefixtures("docker_off")
def test_nonexistent_profile_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without(monkeypatch, *CREDENTIALS)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert main(["deploy", "--plan", "--region", "eu-central-1"]) == 2
    assert "(nobody)" in capsys.readouterr().err
