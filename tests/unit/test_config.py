"""Settings: defaults, bounds, and errors of one line that name the variable."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.config import ProducerSettings, QuerySettings, WorkerSettings
from engine.errors import ConfigError
from tests.builders.samples import PRODUCTS_TOML

QUEUE = {"QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/q"}


def producer(**env: str) -> ProducerSettings:
    return ProducerSettings.from_env({**QUEUE, **env})


def test_default_settings() -> None:
    settings = producer()
    assert settings.queue_url == QUEUE["QUEUE_URL"]
    assert (settings.rejects_bucket, settings.rejects_prefix) == (None, "rejects/")
    assert settings.uploads_prefix == "uploads/"
    assert settings.records_per_message == 500
    assert (settings.max_message_bytes, settings.max_batch_bytes) == (61_440, 1_048_576)
    worker = WorkerSettings.from_env({})
    assert (worker.table, worker.ttl_days) == ("users", None)
    assert (worker.rejects_bucket, worker.rejects_prefix) == (None, "rejects/")
    assert QuerySettings.from_env({}).table == "users"
    assert settings.schema.collection == worker.schema.collection == "users"


def test_each_variable_is_read() -> None:
    settings = producer(
        REJECTS_BUCKET="r",
        REJECTS_PREFIX="bad",
        UPLOADS_PREFIX="in/",
        RECORDS_PER_MESSAGE="1",
        MAX_MESSAGE_BYTES="4096",
        MAX_BATCH_BYTES="5000",
        SCHEMA=str(PRODUCTS_TOML),
    )
    assert (settings.rejects_bucket, settings.rejects_prefix, settings.uploads_prefix) == ("r", "bad/", "in/")
    assert (settings.records_per_message, settings.max_message_bytes, settings.max_batch_bytes) == (1, 4_096, 5_000)
    assert settings.schema.collection == "products"
    worker = WorkerSettings.from_env({"TABLE_NAME": "tab", "RECORD_TTL_DAYS": "30", "REJECTS_BUCKET": "r"})
    assert (worker.table, worker.ttl_days, worker.rejects_bucket) == ("tab", 30, "r")
    query = QuerySettings.from_env({"TABLE_NAME": "tab", "SCHEMA": str(PRODUCTS_TOML)})
    assert (query.table, query.schema.collection) == ("tab", "products")


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_empty_variable_counts_as_unset(blank: str) -> None:
    names = [
        "REJECTS_BUCKET",
        "REJECTS_PREFIX",
        "UPLOADS_PREFIX",
        "RECORDS_PER_MESSAGE",
        "MAX_MESSAGE_BYTES",
        "MAX_BATCH_BYTES",
        "SCHEMA",
    ]
    assert dataclasses.replace(producer(**dict.fromkeys(names, blank)), schema=producer().schema) == producer()
    worker = WorkerSettings.from_env(dict.fromkeys(["TABLE_NAME", "RECORD_TTL_DAYS", *names], blank))
    assert (worker.table, worker.ttl_days, worker.rejects_bucket) == ("users", None, None)


FROM_ENV: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "producer": ProducerSettings.from_env,
    "worker": WorkerSettings.from_env,
    "query": QuerySettings.from_env,
}


def test_write_rate_needs_the_ledger_by_which_workers_share_it() -> None:
    worker = WorkerSettings.from_env({"WRITE_RATE": "500", "LEDGER_TABLE": "ledger"})
    assert worker.ledger is not None
    assert (worker.write_rate, worker.ledger.table) == (500, "ledger")
    assert WorkerSettings.from_env({}).write_rate is None
    for rate in ("0", "1.5", "-1", "10000001"):
        with pytest.raises(ConfigError, match="WRITE_RATE must be a whole number from 1"):
            WorkerSettings.from_env({"WRITE_RATE": rate, "LEDGER_TABLE": "ledger"})
    with pytest.raises(ConfigError, match="WRITE_RATE needs LEDGER_TABLE"):
        WorkerSettings.from_env({"WRITE_RATE": "500"})


WHOLE_NUMBERS = {"RECORDS_PER_MESSAGE": 10_000, "MAX_MESSAGE_BYTES": 1_048_576, "MAX_BATCH_BYTES": 1_048_576}


@pytest.mark.parametrize(
    ("function", "env", "text"),
    [
        ("producer", {"QUEUE_URL": ""}, "QUEUE_URL is not set: it must be the URL of the SQS queue"),
        ("producer", {"QUEUE_URL": "  "}, "QUEUE_URL is not set"),
        *(
            ("producer", {name: value}, f"{name} must be a whole number from ")
            for name, most in WHOLE_NUMBERS.items()
            for value in ("0", "-1", "1.5", "many", "1_000", "1e3", "٣", str(most + 1), "9" * 5_000)
        ),
        ("producer", {"MAX_MESSAGE_BYTES": "4095"}, "MAX_MESSAGE_BYTES must be a whole number from 4,096 to 1,048,576"),
        (
            "producer",
            {"MAX_MESSAGE_BYTES": "10000", "MAX_BATCH_BYTES": "9999"},
            "MAX_BATCH_BYTES must be a whole number from 10,000 to 1,048,576, not '9999'",
        ),
        ("producer", {"REJECTS_PREFIX": "/bad"}, "REJECTS_PREFIX must not begin with a slash: '/bad'"),
        ("worker", {"REJECTS_PREFIX": "/bad"}, "REJECTS_PREFIX must not begin with a slash: '/bad'"),
        *(
            ("worker", {"RECORD_TTL_DAYS": value}, "RECORD_TTL_DAYS must be a whole number from 1 to 36,500")
            for value in ("0", "-1", "36501", "never", "1.5")
        ),
        *((function, {"SCHEMA": "/no/such.toml"}, "SCHEMA: cannot read /no/such.toml: ") for function in FROM_ENV),
        *((function, {"SCHEMA": "/"}, "SCHEMA: cannot read /: ") for function in FROM_ENV),
    ],
)
def test_invalid_variable_is_named(function: str, env: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FROM_ENV[function]({**QUEUE, **env})
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rejects", "uploads"),
    [
        ("uploads", None),
        ("uploads/", None),
        ("uploads/bad/", None),
        (None, "rejects/"),
        (None, "rejects/in/"),
        (None, "rej"),
        ("a/b", "a/b/c/"),
        ("incoming-rejects/", "incoming"),
    ],
)
@pytest.mark.parametrize("bucket", [None, "elsewhere"])
def test_overlapping_prefixes_of_rejects_and_uploads_are_refused(
    rejects: str | None, uploads: str | None, bucket: str | None
) -> None:
    given = {"REJECTS_PREFIX": rejects, "UPLOADS_PREFIX": uploads, "REJECTS_BUCKET": bucket}
    with pytest.raises(
        ConfigError, match=r"^REJECTS_PREFIX must lie outside UPLOADS_PREFIX and not contain it"
    ) as caught:
        producer(**{name: value for name, value in given.items() if value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("rejects", "uploads"), [("uploads-bad/", "uploads/"), ("bad/", "in"), ("a/b/", "a/c/")])
def test_similar_prefixes_that_do_not_overlap_are_accepted(rejects: str, uploads: str) -> None:
    settings = producer(REJECTS_PREFIX=rejects, UPLOADS_PREFIX=uploads)
    assert (settings.rejects_prefix, settings.uploads_prefix) == (rejects, uploads)


@pytest.mark.parametrize("function", FROM_ENV)
def test_only_the_producer_requires_a_queue(function: str) -> None:
    if function == "producer":
        with pytest.raises(ConfigError, match=r"^QUEUE_URL is not set"):
            FROM_ENV[function]({})
    else:
        FROM_ENV[function]({})


@pytest.mark.parametrize("function", FROM_ENV)
@pytest.mark.parametrize(
    ("content", "text"),
    [(b"version = 2\n", "version: must be 1, not 2"), (b"?", "(file): is not valid TOML: "), (b"\xff", "cannot read")],
)
def test_error_of_an_invalid_schema_names_variable_and_file(
    function: str, content: bytes, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "things.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        FROM_ENV[function]({**QUEUE, "SCHEMA": str(path)})
    assert str(caught.value).startswith("SCHEMA: ")
    assert str(path) in str(caught.value)
    assert text in str(caught.value)


def test_settings_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        producer().queue_url = "other"  # type: ignore[misc]


def test_ledger_settings() -> None:
    assert producer().ledger is None
    ledger = producer(LEDGER_TABLE="stack-ledger", LEDGER_DAYS="30", STUCK_SECONDS="60").ledger
    assert ledger is not None
    assert (ledger.table, ledger.days, ledger.patience) == ("stack-ledger", 30, 60)
    assert WorkerSettings.from_env({"LEDGER_TABLE": "stack-ledger"}).ledger is not None
    for wrong in ({"LEDGER_TABLE": "a b"}, {"LEDGER_DAYS": "28"}, {"STUCK_SECONDS": "0"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            producer(**wrong)


@pytest.mark.parametrize(("text", "most", "is_percentage"), [("", 50, True), ("7", 7, False), ("0%", 0, True)])
def test_limit_of_rejects(text: str, most: int, is_percentage: bool) -> None:
    limit = producer(MAX_REJECTS=text).max_rejects
    assert (limit.most, limit.is_percentage) == (most, is_percentage)


@pytest.mark.parametrize("text", ["-1", "x", "101%", "50 %", "1.5%", "٣"])
def test_limit_of_rejects_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="MAX_REJECTS must be a number of rows or a percentage"):
        producer(MAX_REJECTS=text)
