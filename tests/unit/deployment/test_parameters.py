"""Parameters of the template, checked before anything is built."""

from __future__ import annotations

import re

import pytest

from engine.deployment.checkout import TEMPLATE
from engine.deployment.parameters import conflicts, defaults, invalid, unknown
from engine.deployment.template import read_template

KNOWN = read_template(TEMPLATE.read_text())["Parameters"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ApiAuthorization", "OPEN", "ApiAuthorization must be one of AWS_IAM, NONE, not 'OPEN'."),
        ("ApiAccessLogs", "yes", "ApiAccessLogs must be one of off, on, account-role, not 'yes'."),
        ("TableDeletionProtection", "true", "TableDeletionProtection must be one of on, off, not 'true'."),
        ("LogRetentionDays", "2", "LogRetentionDays must be one of 1, 3, 5"),
        ("WorkerTimeout", "901", "WorkerTimeout must be a whole number from 5 to 900, not '901'."),
        ("WorkerTimeout", "4", "WorkerTimeout must be a whole number from 5 to 900, not '4'."),
        ("WorkerTimeout", "six", "WorkerTimeout must be a whole number from 5 to 900, not 'six'."),
        ("WorkerTimeout", "", "WorkerTimeout must be a whole number from 5 to 900, not ''."),
        ("ProducerReservedConcurrency", "-2", "ProducerReservedConcurrency must be a whole number from -1 to 10,000"),
        ("RecordTtlDays", "36501", "RecordTtlDays cannot be '36501'. "),
        ("NoncurrentVersionDays", "0", "NoncurrentVersionDays cannot be '0'. "),
        ("BucketPrefix", "Upper", "BucketPrefix cannot be 'Upper'. "),
        ("AlarmTopicArn", "topic", "AlarmTopicArn cannot be 'topic'. "),
    ],
)
def test_value_that_the_template_refuses_is_named(name: str, value: str, problem: str) -> None:
    (told,) = invalid({name: value}, KNOWN)
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("BucketPrefix", "2 to 25 lower-case letters, digits and dashes"),
        ("QueueName", "1 to 68 letters, digits, dashes and underscores"),
        ("TableName", "3 to 255 letters, digits, dots, dashes and underscores"),
    ],
)
def test_description_of_a_name_states_what_is_allowed(name: str, bounds: str) -> None:
    """It is what a person reads when the name is refused."""
    (told,) = invalid({name: "a b"}, KNOWN)
    assert bounds in told
    fewest, most = (int(number) for number in re.findall("[0-9]+", bounds))
    assert invalid({name: "a" * fewest}, KNOWN) == invalid({name: "a" * most}, KNOWN) == []
    for length in (fewest - 1, most + 1):
        assert invalid({name: "a" * length}, KNOWN)


def test_defaults_are_valid_together() -> None:
    assert invalid(defaults(KNOWN), KNOWN) == conflicts({}, KNOWN) == []


def test_each_problem_is_reported() -> None:
    wrong = {"RecordTtlDays": "0", "WorkerTimeout": "1", "ApiAccessLogs": "x", "QueryMemory": "128"}
    assert [problem.split()[0] for problem in invalid(wrong, KNOWN)] == [*wrong][:3]
    together = {"WorkerTimeout": "100", "WorkerBatchSize": "11", "TableMaxWriteUnits": "0"}
    assert len(conflicts(together, KNOWN)) == 3


def test_pollers_and_a_maximum_concurrency_exclude_each_other() -> None:
    (problem,) = conflicts({"WorkerMaximumPollers": "5", "WorkerMaximumConcurrency": "50"}, KNOWN)
    assert "--parameter WorkerMaximumPollers=0 or --parameter WorkerMaximumConcurrency=10" in problem
    (problem,) = conflicts({"WorkerMaximumPollers": "5", "WorkerMinimumPollers": "6"}, KNOWN)
    assert "at least WorkerMinimumPollers, 6" in problem
    assert conflicts({"WorkerMaximumPollers": "5"}, KNOWN) == conflicts({"WorkerMaximumConcurrency": "50"}, KNOWN) == []


def test_values_that_are_invalid_alone_take_part_in_no_conflict() -> None:
    wrong = {"WorkerTimeout": "soon", "QueueVisibilityTimeout": "100", "WorkerBatchSize": "", "NoSuch": "1"}
    wrong |= {"SourceBucket": "A B", "UploadsPrefix": ""}
    assert conflicts(wrong, KNOWN) == []
    assert len(conflicts({**wrong, "TableMaxWriteUnits": "0"}, KNOWN)) == 1


def test_parameters_that_cannot_be_set_are_refused() -> None:
    problems = unknown({"NoSuch": "1", "WorkerImage": "x", "Architecture": "arm64", "TableName": "t"}, KNOWN)
    assert problems[0].startswith("Use --architecture arm64")
    assert problems[1].startswith("There is no parameter NoSuch, WorkerImage to set. There are: AlarmTopicArn, ")
    assert len(problems) == 2
