"""Settings of the three functions: frozen, read once from a mapping of environment variables.

Nothing else in the engine reads the environment, apart from the AWS SDK itself (region, credentials, endpoint).
`docs/configuration.md` documents each variable.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError, SchemaError
from engine.reject_limit import RejectLimit
from engine.schema.model import Schema
from engine.schema.parse import parse_schema

SQS_MAX_BYTES = 1_048_576
"""SQS quota: 1 MiB for one message, and for all messages of a SendMessageBatch together."""

DEFAULT_RECORDS = 500
"""Rows in one message."""

DEFAULT_MESSAGE_BYTES = 61_440
"""Just within one 64 KB chunk, the unit that SQS bills; attributes count too, hence not all of the 65,536."""

MIN_MESSAGE_BYTES = 4_096
"""With less, the envelope of a packed message (object key up to 1,024 bytes, columns) leaves no room for rows."""

DEFAULT_REJECTS = "50%"
"""Of an object: with more it is probably the wrong file."""

DEFAULT_SPAN_BYTES = 1_073_741_824
"""A producer reads it in about 15 s, of which opening the object and reading its first bytes again is 1%."""

MIN_SPAN_BYTES = 262_144
"""The first bytes, from which each reader of a span finds what the object is like, are in the first span."""

MAX_SPAN_BYTES = 17_179_869_184
"""One invocation (Lambda quota: 900 s) must be able to scan that much."""

TRANSPORTS = ("lean", "aiohttp")
"""How frequent calls are sent: by the project's own transport, or by a general one that also supports proxies."""

MIN_LEDGER_DAYS = 29
"""A message may wait 14 days in its queue and 14 in the dead-letter queue (SQS quota: 1,209,600 s each), and its
account must still be there then."""

# DynamoDB quota: 3 to 255 characters.
_TABLE_NAME = re.compile(r"(arn:[a-z0-9-]+:dynamodb:[a-z0-9-]+:[0-9]{12}:table/)?[A-Za-z0-9_.-]{3,255}")

PACKAGED_SCHEMA = Path(__file__).parent / "schemas" / "users.toml"


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """The ledger: its table, the days after which its items expire, and the seconds after which rows are stuck."""

    table: str
    days: int
    patience: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> LedgerSettings | None:
        """Read the settings; None: nobody accounts for rows."""
        days = _integer(env, "LEDGER_DAYS", 90, MIN_LEDGER_DAYS, 36_500)
        patience = _integer(env, "STUCK_SECONDS", 360, 1, 43_200)
        name = _optional(env, "LEDGER_TABLE")
        if name is None:
            return None
        if not _TABLE_NAME.fullmatch(name):
            raise ConfigError(f"LEDGER_TABLE must be the name or the ARN of a DynamoDB table, not {name!r}")
        return cls(name, days, patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """What the producer reads: the queue and how to fill it, and where files and rejects are."""

    function: str
    queue_url: str
    span_queue_url: str | None
    schema: Schema
    uploads_prefix: str
    rejects_bucket: str | None
    rejects_prefix: str
    records_per_message: int
    max_message_bytes: int
    max_batch_bytes: int
    max_rejects: RejectLimit
    span_bytes: int
    ledger: LedgerSettings | None
    schema_hash: str
    transport: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ProducerSettings:
        """Read the settings; `ConfigError` names the variable that is missing or invalid."""
        max_message_bytes = _integer(env, "MAX_MESSAGE_BYTES", DEFAULT_MESSAGE_BYTES, MIN_MESSAGE_BYTES, SQS_MAX_BYTES)
        uploads, rejects = env.get("UPLOADS_PREFIX", "").strip() or "uploads/", _rejects_prefix(env)
        # Rejects are CSV files too. The bucket of the uploads is only known from events, so this holds for any bucket.
        if uploads.startswith(rejects) or rejects.startswith(uploads):
            raise ConfigError(
                f"REJECTS_PREFIX must lie outside UPLOADS_PREFIX and not contain it, or rejects and uploads would be "
                f"taken for one another: {rejects!r}, {uploads!r}"
            )
        schema, text = _read_schema(env)
        return cls(
            function=_function(env),
            queue_url=_required(env, "QUEUE_URL", "the URL of the SQS queue that records go to"),
            span_queue_url=_optional(env, "SPAN_QUEUE_URL"),
            schema=schema,
            schema_hash=hashlib.sha256(text.encode()).hexdigest()[:20],
            uploads_prefix=uploads,
            rejects_bucket=_optional(env, "REJECTS_BUCKET"),
            rejects_prefix=rejects,
            records_per_message=_integer(env, "RECORDS_PER_MESSAGE", DEFAULT_RECORDS, 1, 10_000),
            max_message_bytes=max_message_bytes,
            max_rejects=_reject_limit(env),
            span_bytes=_integer(env, "SPAN_BYTES", DEFAULT_SPAN_BYTES, MIN_SPAN_BYTES, MAX_SPAN_BYTES),
            ledger=LedgerSettings.from_env(env),
            # A batch must hold at least one message.
            max_batch_bytes=_integer(env, "MAX_BATCH_BYTES", SQS_MAX_BYTES, max_message_bytes, SQS_MAX_BYTES),
            transport=_transport(env),
        )

    @property
    def packing(self) -> str:
        """What decides, with the schema, which rows of an object each message holds."""
        return f"{self.records_per_message} {self.max_message_bytes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What the worker reads: the table, the schema, where rejects go, how long items live, and its own queue."""

    function: str
    table: str
    queue_url: str | None
    schema: Schema
    rejects_bucket: str | None
    rejects_prefix: str
    ttl_days: int | None
    ledger: LedgerSettings | None
    write_rate: int | None
    transport: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> WorkerSettings:
        """Read the settings; `ConfigError` names the variable that is missing or invalid."""
        schema = _schema(env)
        ledger, write_rate = LedgerSettings.from_env(env), _integer(env, "WRITE_RATE", 0, 1, 10_000_000) or None
        if write_rate and ledger is None:
            raise ConfigError("WRITE_RATE needs LEDGER_TABLE, the table by which workers share the rate")
        return cls(
            function=_function(env),
            table=_table(env, schema),
            queue_url=_optional(env, "QUEUE_URL"),
            schema=schema,
            rejects_bucket=_optional(env, "REJECTS_BUCKET"),
            rejects_prefix=_rejects_prefix(env),
            ttl_days=_integer(env, "RECORD_TTL_DAYS", 0, 1, 36_500) or None,
            ledger=ledger,
            write_rate=write_rate,
            transport=_transport(env),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySettings:
    """What the query function reads: the table and the schema. It returns the schema's text on request."""

    table: str
    schema: Schema
    schema_text: str
    ledger: LedgerSettings | None
    rejects_bucket: str | None
    rejects_prefix: str
    transport: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> QuerySettings:
        """Read the settings; `ConfigError` names the variable that is missing or invalid."""
        schema, text = _read_schema(env)
        return cls(
            table=_table(env, schema),
            schema=schema,
            schema_text=text,
            ledger=LedgerSettings.from_env(env),
            rejects_bucket=_optional(env, "REJECTS_BUCKET"),
            rejects_prefix=_rejects_prefix(env),
            transport=_transport(env),
        )


def _required(env: Mapping[str, str], name: str, meaning: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set: it must be {meaning}")
    return value


def _optional(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name, "").strip() or None


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    # int() also accepts "1_000" and digits of other scripts, and fails on thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
        raise ConfigError(f"{name} must be a whole number from {low:,} to {high:,}, not {text!r}")
    return int(text)


def _reject_limit(env: Mapping[str, str]) -> RejectLimit:
    text = env.get("MAX_REJECTS", "").strip() or DEFAULT_REJECTS
    try:
        return RejectLimit.of(text)
    except ValueError:
        raise ConfigError(
            f"MAX_REJECTS must be a number of rows or a percentage from 0% to 100%, not {text!r}"
        ) from None


def _rejects_prefix(env: Mapping[str, str]) -> str:
    prefix = env.get("REJECTS_PREFIX", "").strip() or "rejects/"
    if prefix.startswith("/"):
        raise ConfigError(f"REJECTS_PREFIX must not begin with a slash: {prefix!r}")
    return prefix if prefix.endswith("/") else prefix + "/"


def _transport(env: Mapping[str, str]) -> str:
    name = env.get("HTTP_TRANSPORT", "").strip() or TRANSPORTS[0]
    if name not in TRANSPORTS:
        raise ConfigError(f"HTTP_TRANSPORT must be {' or '.join(TRANSPORTS)}, not {name!r}")
    return name


def _function(env: Mapping[str, str]) -> str:
    """Return the name that Lambda gives the function: the dimension of its metrics."""
    return env.get("AWS_LAMBDA_FUNCTION_NAME", "").strip() or "local"


def _table(env: Mapping[str, str], schema: Schema) -> str:
    name = env.get("TABLE_NAME", "").strip() or schema.collection
    if not _TABLE_NAME.fullmatch(name):
        raise ConfigError(f"TABLE_NAME must be the name or the ARN of a DynamoDB table, not {name!r}")
    return name


def _schema(env: Mapping[str, str]) -> Schema:
    return _read_schema(env)[0]


def _read_schema(env: Mapping[str, str]) -> tuple[Schema, str]:
    path = Path(env.get("SCHEMA", "").strip() or PACKAGED_SCHEMA)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"SCHEMA: cannot read {path}: {error}") from None
    try:
        return parse_schema(text, str(path)), text
    except SchemaError as error:
        raise ConfigError(f"SCHEMA: {error}") from None
