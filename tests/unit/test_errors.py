"""Verdicts on service error codes; error messages never contain row content."""

import inspect

import pytest

from engine import errors
from engine.errors import MAX_DETAIL, MillpondError, ServiceError, Verdict, verdict_of

KEY_MISMATCHES = [
    "The provided key element does not match the schema",
    "One or more parameter values were invalid: Missing the key email in the item",
    "One or more parameter values were invalid: Type mismatch for key createdAt expected: S actual: N",
    "One of the required keys was not given a value",
]
POISONS = [
    "Item size has exceeded the maximum allowed size",
    "The parameter cannot be converted to a numeric value: secret@example.com",
    "The parameter cannot be converted to a numeric value: One of the required keys was not given a value",
    "Supplied AttributeValue has: The provided key element does not match the schema",
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string "
    "value. Key: email",
    "Provided list of item keys contains duplicates",
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
]


@pytest.mark.parametrize(
    ("code", "status", "verdict"),
    [
        ("ProvisionedThroughputExceededException", 400, Verdict.THROTTLE),
        ("ThrottlingException", 400, Verdict.THROTTLE),
        ("RequestLimitExceeded", 400, Verdict.THROTTLE),
        ("RequestThrottled", 403, Verdict.THROTTLE),
        ("KmsThrottled", 400, Verdict.THROTTLE),
        ("SlowDown", 503, Verdict.THROTTLE),
        ("WhoKnows", 429, Verdict.THROTTLE),
        ("InternalServerError", 500, Verdict.RETRY),
        ("ServiceUnavailable", 503, Verdict.RETRY),
        ("RequestTimeout", 400, Verdict.RETRY),
        ("UnreadableReply", 200, Verdict.RETRY),
        ("CRC32CheckFailed", 200, Verdict.RETRY),
        ("ConnectionFailed", 0, Verdict.RETRY),
        ("CallTimedOut", 0, Verdict.RETRY),
        ("WhoKnows", 0, Verdict.RETRY),
        ("WhoKnows", 408, Verdict.RETRY),
        ("WhoKnows", 500, Verdict.RETRY),
        ("WhoKnows", 599, Verdict.RETRY),
        ("ExpiredTokenException", 400, Verdict.EXPIRED),
        ("ExpiredToken", 403, Verdict.EXPIRED),
        ("ValidationException", 400, Verdict.POISON),
        ("SerializationException", 400, Verdict.POISON),
        ("ItemCollectionSizeLimitExceededException", 400, Verdict.POISON),
        ("RequestEntityTooLarge", 413, Verdict.POISON),
        ("ResourceNotFoundException", 400, Verdict.FATAL),
        ("AccessDeniedException", 400, Verdict.FATAL),
        ("AccessDenied", 403, Verdict.FATAL),
        ("UnrecognizedClientException", 400, Verdict.FATAL),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, Verdict.FATAL),
        ("QueueDoesNotExist", 400, Verdict.FATAL),
        ("NoSuchBucket", 404, Verdict.FATAL),
        ("WhoKnows", 400, Verdict.FATAL),
        ("", 499, Verdict.FATAL),
    ],
)
def test_error_codes_have_their_verdicts(code: str, status: int, verdict: Verdict) -> None:
    assert verdict_of(code, status) is verdict


@pytest.mark.parametrize(
    ("code", "status", "broken"),
    [
        ("InternalServerError", 500, True),
        ("UnreadableReply", 503, True),
        ("UnreadableReply", 0, True),
        ("CRC32CheckFailed", 0, True),
        ("ConnectionFailed", 0, False),
        ("CallTimedOut", 0, False),
        ("ThrottlingException", 400, False),
    ],
)
def test_broken_answer_is_one_that_came(code: str, status: int, broken: bool) -> None:
    assert ServiceError("BatchWriteItem", code, status).is_broken_answer is broken


@pytest.mark.parametrize("message", KEY_MISMATCHES)
def test_table_keys_that_differ_from_the_schema_are_a_configuration_error(message: str) -> None:
    assert verdict_of("ValidationException", 400, message) is Verdict.FATAL
    assert verdict_of("ThrottlingException", 400, message) is Verdict.THROTTLE


@pytest.mark.parametrize("message", POISONS)
def test_bad_item_is_poison(message: str) -> None:
    assert verdict_of("ValidationException", 400, message) is Verdict.POISON


SECRET = "the item has secret@example.com in it"


@pytest.mark.parametrize(
    ("code", "status", "tells"),
    [
        ("ValidationException", 400, False),
        ("SerializationException", 400, False),
        ("ThrottlingException", 400, False),
        ("InternalServerError", 500, False),
        ("ExpiredTokenException", 400, False),
        ("InvalidParameterValue", 400, False),
        ("InvalidMessageContents", 400, False),
        ("WhoKnows", 400, False),
        ("ResourceNotFoundException", 400, True),
        ("AccessDeniedException", 400, True),
        ("UnrecognizedClientException", 400, True),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, True),
        ("QueueDoesNotExist", 400, True),
        ("KMS.DisabledException", 400, True),
        ("InvalidObjectState", 403, True),
    ],
)
def test_only_fatal_errors_that_are_not_about_content_quote_the_service(code: str, status: int, tells: bool) -> None:
    error = ServiceError("BatchWriteItem", code, status, SECRET)
    assert str(error) == f"BatchWriteItem failed: {code} (HTTP {status})" + (f": {SECRET}" if tells else "")
    assert (error.operation, error.code, error.status, error.detail) == ("BatchWriteItem", code, status, SECRET)
    assert error.verdict is verdict_of(code, status)


@pytest.mark.parametrize("message", KEY_MISMATCHES)
def test_words_about_a_wrong_key_are_shown_up_to_where_they_may_quote_the_item(message: str) -> None:
    error = ServiceError("BatchWriteItem", "ValidationException", 400, f"{message}: {{email={SECRET}}}")
    assert message.split(":")[0].split(".")[0] in str(error)
    assert SECRET not in str(error)


def test_verdict_can_be_given_explicitly() -> None:
    assert ServiceError("SendMessageBatch", "ThrottlingException", 400, verdict=Verdict.FATAL).verdict is Verdict.FATAL
    assert SECRET not in str(ServiceError("X", "AccessDenied", 403, SECRET, verdict=Verdict.POISON))


def test_all_errors_have_one_root() -> None:
    raised = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]
    assert len(raised) > 5
    assert all(issubclass(one, MillpondError) for one in raised)


def test_errors_have_the_status_of_the_ingestion() -> None:
    statuses = {one.__name__: one.status for one in (errors.BadFile, errors.ObjectGone, errors.ObjectSuperseded)}
    assert statuses == {"BadFile": "failed", "ObjectGone": "gone", "ObjectSuperseded": "superseded"}


def test_bad_request_has_an_http_status() -> None:
    error = errors.BadRequest(405, "no", allow="GET")
    assert (str(error), error.status, error.allow) == ("no", 405, "GET")


def test_service_message_is_shortened_to_one_line() -> None:
    error = ServiceError("SendMessageBatch", "Bad\nCode" * 50, 400, "no\r\naccess " + "x" * 100_000)
    assert len(str(error)) < 450
    assert "\n" not in str(error)
    assert error.detail.startswith("no access xxx")
    assert len(error.detail) == MAX_DETAIL
