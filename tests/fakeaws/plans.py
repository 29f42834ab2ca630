"""What can go wrong in one call, and plans that say when it does.

A plan is asked once for each call that arrives and answers with a fault, or with None for a call that goes well. A
list does as a plan too: one fault a call in the order of arrival, and no more faults when it is used up.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
# A share (0.5: the later half), or a predicate on a DynamoDB item or on an SQS batch entry.
Which = float | Callable[[Json], bool]


def access_key_in(headers: Mapping[str, str]) -> str:
    """The access key that a request with these headers is signed with."""
    return headers["authorization"].partition("Credential=")[2].partition("/")[0]


@dataclass(frozen=True)
class Call:
    """One request as it arrived: `number` from 1, `at` in seconds of the server's monotonic clock."""

    number: int
    operation: str
    body: Json
    headers: Mapping[str, str]  # names in lower case
    connection: int  # from 1, in the order of opening
    at: float

    @property
    def access_key(self) -> str:
        """The access key that the request is signed with."""
        return access_key_in(self.headers)

    @property
    def entries(self) -> list[Json]:
        """The items to write, of all tables, or the batch entries to send."""
        if self.operation == "SendMessageBatch":
            return list(self.body["Entries"])
        if self.operation == "PutItem":
            return [self.body["Item"]]
        if self.operation == "DeleteItem":
            return [self.body["Key"]]
        writes = [write for requests in self.body["RequestItems"].values() for write in requests]
        return [
            write["PutRequest"]["Item"] if "PutRequest" in write else write["DeleteRequest"]["Key"] for write in writes
        ]


@dataclass(frozen=True)
class Refuse:
    """The service answers with an error and does nothing."""

    code: str
    status: int = 400
    message: str = "made to fail"
    members: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Poison:
    """DynamoDB refuses the whole batch, or a single item, because of the items that the predicate picks."""

    item: Callable[[Json], bool]
    message: str = "One or more parameter values were invalid"


@dataclass(frozen=True)
class Unprocessed:
    """DynamoDB writes the batch, but for some items, which come back as UnprocessedItems."""

    which: Which = 1.0


@dataclass(frozen=True)
class Failed:
    """SQS takes the batch, but for some entries, which it mentions as Failed."""

    which: Which = 1.0
    code: str = "InternalError"
    sender_fault: bool = False


@dataclass(frozen=True)
class Unmentioned:
    """SQS says nothing of some entries; `accepted` tells whether it has them all the same."""

    which: Which = 1.0
    accepted: bool = False


@dataclass(frozen=True)
class Reset:
    """The connection is reset instead of an answer, before (or, if `applied`, after) the work was done."""

    applied: bool = False


@dataclass(frozen=True)
class Silent:
    """No answer ever comes; the connection stays open."""

    applied: bool = False


@dataclass(frozen=True)
class Garbage:
    """Something answers that is not the service: by default a proxy, with a page."""

    status: int = 503
    body: bytes = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
    content_type: str = "text/html"
    applied: bool = False


@dataclass(frozen=True)
class Truncated:
    """The work is done, and the connection closes in the middle of the reply's body."""


@dataclass(frozen=True)
class WrongChecksum:
    """The work is done, and the reply's x-amz-crc32 is not that of its body."""


@dataclass(frozen=True)
class CloseAfter:
    """The work is done and answered; the kept-alive connection is then closed silently."""


@dataclass(frozen=True)
class Slow:
    """The answer, right or wrong, is late."""

    seconds: float
    then: "Fault | None" = None


Fault = (
    Refuse
    | Poison
    | Unprocessed
    | Failed
    | Unmentioned
    | Reset
    | Silent
    | Garbage
    | Truncated
    | WrongChecksum
    | CloseAfter
    | Slow
)
Plan = Callable[[Call], Fault | None]

THROUGHPUT_EXCEEDED = Refuse("ProvisionedThroughputExceededException")
THROTTLED = Refuse("ThrottlingException")
REQUEST_LIMIT = Refuse("RequestLimitExceeded")
SQS_THROTTLED = Refuse("RequestThrottled")
SERVER_ERROR = Refuse("InternalServerError", 500)
SQS_ERROR = Refuse("InternalError", 500)
UNAVAILABLE = Refuse("ServiceUnavailable", 503)
EXPIRED_TOKEN = Refuse("ExpiredTokenException")
ACCESS_DENIED = Refuse("AccessDeniedException")
NO_TABLE = Refuse("ResourceNotFoundException")
NO_QUEUE = Refuse("QueueDoesNotExist")
BAD_JSON = Garbage(200, b'{"UnprocessedItems":{', "application/x-amz-json-1.0", applied=True)


@dataclass
class Script:
    """One fault (or None) a call, in the order of arrival; afterwards all goes well."""

    faults: Iterable[Fault | None]

    def __post_init__(self) -> None:
        """Begin at the first."""
        self._rest = iter(self.faults)

    def __call__(self, call: Call) -> Fault | None:
        """What befalls this call."""
        return next(self._rest, None)


@dataclass
class Sometimes:
    """A fault in that share of the calls, picked at random, and the same for the same seed."""

    share: float
    faults: Sequence[Fault]
    seed: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin the sequence."""
        self._random = random.Random(self.seed)

    def __call__(self, call: Call) -> Fault | None:
        """What befalls this call."""
        return self._random.choice(self.faults) if self._random.random() < self.share else None


def always(fault: Fault) -> Plan:
    """The same fault in every call."""
    return lambda call: fault


def chosen(which: Which, entries: Sequence[Json]) -> set[int]:
    """The indices of what a fault hits."""
    if callable(which):
        return {index for index, entry in enumerate(entries) if which(entry)}
    return set(range(len(entries) - round(which * len(entries)), len(entries)))
