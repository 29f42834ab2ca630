"""One error tree, and the table that turns a service's error code into a verdict.

Everything the engine raises on purpose is a `MillpondError`, so that a caller can tell "this was foreseen, and its
message is meant for a person" from a defect. The text of an error never holds a row's content: rows are people's
data, and error texts end up in logs.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable


class MillpondError(Exception):
    """Root of all errors that the engine raises on purpose. Its text is one line, fit to be shown to a person."""


class ConfigError(MillpondError):
    """A setting is missing or makes no sense. The text names the variable and what to do."""


class SchemaError(MillpondError):
    """A schema file is wrong. The text has the file, the key in it, and the reason."""

    def __init__(self, source: str, key: str, reason: str) -> None:
        super().__init__(f"schema {source}: {key}: {reason}")
        self.source, self.key, self.reason = source, key, reason


class ObjectError(MillpondError):
    """An object cannot be ingested, and trying again would not change that."""

    status = "failed"


class BadFile(ObjectError):
    """The file itself is unusable: no header, a required column missing, not UTF-8 text, an archive."""


class TooManyRejects(ObjectError):
    """More rows of the object are rejects than are allowed: it is probably the wrong file."""


class ObjectGone(ObjectError):
    """The object no longer exists."""

    status = "gone"


class ObjectSuperseded(ObjectError):
    """The object was replaced while it was being read; its successor has an event of its own."""

    status = "superseded"


class NoProgress(ObjectError):
    """Invocation after invocation ended before one more message of the object could be sent."""


class MalformedMessage(MillpondError):
    """An SQS message that is not one of ours: no JSON, an unknown version, or rows of the wrong shape."""


class UnknownEvent(MillpondError):
    """An event that is neither an S3 notification nor EventBridge's "Object Created"."""


class BadRequest(MillpondError):
    """An API request that cannot be answered. `status` is the HTTP status code."""

    def __init__(self, status: int, text: str, *, allow: str | None = None) -> None:
        super().__init__(text)
        self.status, self.allow = status, allow


class DeadlineExceeded(MillpondError):
    """The time of this invocation is nearly over; what is left must be taken up by another one."""


class Verdict(enum.Enum):
    """What to do about a failed call."""

    RETRY = "retry"
    """A passing fault: the same call again after a back-off."""
    THROTTLE = "throttle"
    """Too fast: the same call again after a back-off, and fewer calls in flight."""
    EXPIRED = "expired"
    """The credentials ran out: again, with fresh ones."""
    POISON = "poison"
    """The service refuses the content: sending it again cannot help, but sending less may tell which part it is."""
    FATAL = "fatal"
    """Nothing that this process does can help: a missing table, a missing permission, a wrong setting."""


# Error codes as DynamoDB, SQS and S3 document them under "Common errors" and per operation. SQS answers a JSON request
# with the shape's name, and its older code in the x-amzn-query-error header: both are listed.
_VERDICTS: dict[str, Verdict] = {
    code: verdict
    for verdict, codes in {
        Verdict.THROTTLE: """
            ProvisionedThroughputExceededException ThrottlingException Throttling RequestLimitExceeded RequestThrottled
            RequestThrottledException TooManyRequestsException SlowDown BandwidthLimitExceeded LimitExceededException
            KmsThrottled KMS.ThrottlingException OverLimit
        """,
        Verdict.RETRY: """
            InternalServerError InternalError InternalFailure ServiceUnavailable ServiceUnavailableException
            ServiceUnavailableError RequestTimeout RequestTimeoutException RequestTimeTooSkewed RequestExpired
            TransactionInProgressException TransactionConflictException ReplicatedWriteConflictException
            PriorRequestNotComplete CRC32CheckFailed
            UnreadableReply ConnectionFailed CallTimedOut AWS.SimpleQueueService.InternalError RequestInProgress
        """,
        Verdict.EXPIRED: "ExpiredTokenException ExpiredToken TokenRefreshRequired",
        Verdict.POISON: """
            ValidationException SerializationException ItemCollectionSizeLimitExceededException
            RequestEntityTooLarge RequestEntityTooLargeException
        """,
    }.items()
    for code in codes.split()
}

# DynamoDB says ValidationException both for a bad item and for a table whose keys are not those of the schema. The
# second is a wrong setting: treated as poison it would turn every row of every file into a reject, one by one.
# Its sentences are known from their beginning on: further behind they may quote the item.
# The patterns are compiled on first use: compiling them slows cold starts.
_KEY_MISMATCH = (
    r"The provided key element does not match the schema"
    r"|One or more parameter values (were|are not) (invalid|valid)[:.] (Missing the key|Type mismatch for key)"
    r"( [\w.-]+( expected: \w+ actual: \w+)?)?"
    r"|One of the required keys was not given a value"
)


# What DynamoDB says of one item, whatever the table. Anything else may be about the table.
_ITEM_AT_FAULT = (
    r"(SerializationException|RequestEntityTooLarge\w*|ItemCollectionSizeLimitExceededException): "
    r"|ValidationException: ("
    r"Item size (has|to update has) exceeded"
    r"|One or more parameter values were invalid: (Size of hashkey|Aggregated size of all range keys|An? \w+ set)"
    r"|One or more parameter values are not valid\. (The AttributeValue for a key attribute cannot contain an empty"
    r"|A value specified for a secondary index key is not supported)"
    r"|Attempting to store more than 38 significant digits"
    r"|Number (over|under)flow"
    r"|The parameter cannot be converted to a numeric value"
    r"|Nesting Levels have exceeded"
    r"|Input collection"
    r"|Supplied AttributeValue"
    r")"
)
_CONTENT = r"[:'\"\[{]"


def table_at_fault(reasons: Iterable[str], written: int) -> str | None:
    """Return why the table, rather than its items, is at fault for the `reasons` of refused items, or None.

    Each reason is ``code: message`` as the service sent it; `written` items of the same batch were taken. When most of
    a batch is refused for one and the same reason that is not known to be about an item, or when nothing was written
    at all, the table or a setting is wrong. The text has no row's content.
    """
    kinds: Counter[str] = Counter()
    refused = 0
    for reason in reasons:
        refused += 1
        if not re.match(_ITEM_AT_FAULT, reason):
            code, _, message = reason.partition(": ")
            kinds[f"{code}: {re.split(_CONTENT, message, maxsplit=1)[0].strip()[:80]}"] += 1
    if not kinds:
        return None
    kind, count = kinds.most_common(1)[0]
    if written and 2 * count <= written + refused:
        return None
    return (
        f"{count:,} of {written + refused:,} rows are refused for one reason ({kind}): the table or the schema is wrong"
    )


def verdict_of(code: str, status: int, message: str = "") -> Verdict:
    """Return what to do about an error `code` that came with an HTTP `status` (0 if there was no reply at all)."""
    verdict = _VERDICTS.get(code)
    if verdict is Verdict.POISON and re.match(_KEY_MISMATCH, message):
        return Verdict.FATAL
    if verdict is not None:
        return verdict
    if status == 429:
        return Verdict.THROTTLE
    return Verdict.RETRY if status >= 500 or status in (0, 408) else Verdict.FATAL


CONDITION_FAILED = "ConditionalCheckFailedException"
"""DynamoDB's code for a write whose condition is not met: an answer to whoever set the condition."""

_UNREADABLE = ("UnreadableReply", "CRC32CheckFailed")

MAX_CODE, MAX_DETAIL = 64, 300
"""Characters kept of an error code and of a service's own words: they go to logs, and a reply may say anything."""


class ServiceError(MillpondError):
    """A call to an AWS service failed.

    `code` is the service's error code, `status` the HTTP status (0 without a reply), `detail` the service's own
    words, cut to one short line. They may quote what was sent, so they are part of the text only for fatal errors whose
    code speaks of permissions, or of something that does not exist. An explicit `verdict` says that the words are
    the caller's own. `throttling` has DynamoDB's reasons for throttling, see `engine.throttling`.
    """

    def __init__(
        self,
        operation: str,
        code: str,
        status: int,
        detail: str = "",
        *,
        verdict: Verdict | None = None,
        throttling: tuple[str, ...] = (),
    ) -> None:
        code, detail = _one_line(code, MAX_CODE), _one_line(detail, MAX_DETAIL)
        self.operation, self.code, self.status, self.detail = operation, code, status, detail
        self.throttling = throttling
        self.verdict = verdict or verdict_of(code, status, detail)
        shown = detail if verdict is not None else _without_content(code, detail)
        said = f": {shown}" if shown and self.verdict is Verdict.FATAL else ""
        super().__init__(f"{operation} failed: {code} (HTTP {status}){said}")

    @property
    def is_broken_answer(self) -> bool:
        """Whether an answer came, but a server error or one that cannot be read.

        If that happens again and again, the content of the call may be the cause. A call without any answer says
        nothing about its content: the service may be down or slow for all.
        """
        return self.status >= 500 or self.code in _UNREADABLE


# Of codes that services answer with to what is not about the content of a call.
_NOT_ABOUT_CONTENT = (
    r"Access|Auth|Credential|Denied|DoesNotExist|K[Mm][Ss]|NoSuch|NonExist|NotFound|ObjectState|Redirect|Region|Signature|Token"
    r"|Unrecognized"
)


def _without_content(code: str, detail: str) -> str:
    """Return what of a service's words can be shown: nothing of them where they may quote what was sent."""
    if re.search(_NOT_ABOUT_CONTENT, code):
        return detail
    found = re.match(_KEY_MISMATCH, detail)
    return found[0] if found else ""


def _one_line(text: str, most: int) -> str:
    return " ".join(text[: 10 * most].split())[:most]
