"""Nothing of a row, a request or a token is found in logs, metrics, errors, events or the ledger, whatever fails.

One text is in every field, key, header and token, and services repeat it in their errors. Only queue, table and reject
files may have it, and the response to the client that sent it. Keys of objects are not data: they name the file. Nor
are names of columns where two or more of a header are those of the schema: the log says which ones are ignored.
"""

import base64
import json
import traceback
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from engine.handlers import producer, query, worker
from tests.builders.http_events import FRONT_ENDS
from tests.builders.invocations import Context, Json, event_of, s3_record, sqs_record
from tests.builders.messages import packed
from tests.builders.samples import ORDERS_TOML, PRODUCTS_TOML
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_objects import Cut, InPieces, ObjectFault, ObjectServer, Page, Says
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import (
    Call,
    CloseAfter,
    Failed,
    Fault,
    Garbage,
    Poison,
    Refuse,
    Reset,
    Truncated,
    Unmentioned,
    Unprocessed,
    WrongChecksum,
)

CANARY = "canary7f3a"
SECONDS = 4.0

LINES = (
    "name,mail,phone,xxxxxxxxx",
    f"{CANARY} Doe,{CANARY}1@x.org,{CANARY},{CANARY}",
    f'"{CANARY}, ""Q""",{CANARY}2@x.org,,',
    f"{CANARY},,{CANARY},{CANARY}",
    f"{CANARY},{CANARY}3@x.org",
    f'"{CANARY}"{CANARY},{CANARY},,',
    f"{CANARY}\xff,{CANARY}4@x.org,,",
    f"={CANARY},{CANARY * 400}@x.org,,",
)
CSV = "".join(f"{line}\n" for line in LINES).encode("latin-1")
FILES = {
    "users.csv": CSV,
    "no_header.csv": f"{CANARY},{CANARY}@x.org,{CANARY}\n{CANARY},b,c\n".encode(),
    "perhaps_a_header.csv": f"mail,{CANARY},{CANARY}\na,{CANARY},d\n".encode(),
    "lines.jsonl": "".join(
        f"{line}\n"
        for line in (
            json.dumps({"name": CANARY, "mail": f"{CANARY}@x.org", CANARY: CANARY}),
            json.dumps({"name": [CANARY], "mail": {CANARY: CANARY}}),
            f'{{"name":"{CANARY}","name":"{CANARY}"}}',
            f'{{"{CANARY}":{CANARY}',
        )
    ).encode(),
    "damaged.csv.gz": b"\x1f\x8b\x08\0" + CANARY.encode() * 9,
}
PRODUCTS = f"sku,price,stock,grade,title\n{CANARY},{CANARY},1,{CANARY},{CANARY}\nA-1,1,{CANARY},a,x\n".encode()
ORDERS = (
    "row;customer;order;ordered;shipped;total;tags;sizes;signature;paid\n"
    f"1;{CANARY};{CANARY};;;;{CANARY};;;\n"
    f"{CANARY};a;b;{CANARY};{CANARY};{CANARY};{CANARY}|{CANARY};{CANARY};{CANARY};{CANARY}\n"
).encode()


def echo(code: str, status: int = 400, before: str = "") -> Callable[[Call], Fault]:
    """An error that quotes the request from where its rows begin."""

    def fault(call: Call) -> Fault:
        text = json.dumps(call.body)
        return Refuse(code, status, f"{before}{text[max(0, text.find(CANARY) - 10) :]}")

    return fault


FAULTS: dict[str, Callable[[Call], Fault | None]] = {
    "none": lambda call: None,
    **{
        code: echo(code)
        for code in (
            *("ValidationException", "SerializationException", "InvalidParameterValue", "InvalidMessageContents"),
            *("ThrottlingException", "ConditionalCheckFailedException", "TransactionConflictException"),
            *("ItemCollectionSizeLimitExceededException", "ExpiredTokenException", "NobodyHasSeenThisException"),
        )
    },
    "wrong key": echo("ValidationException", before="The provided key element does not match the schema: "),
    "missing key": echo("ValidationException", before="One or more parameter values were invalid: Missing the key "),
    "unknown sentence": echo("ValidationException", before="1 validation error detected: Value '"),
    "server error": echo("InternalServerError", 500),
    # Values come after a colon or in quotes in all of DynamoDB's sentences that are known.
    "poison": lambda call: Poison(lambda item: True, f"The parameter cannot be converted to a numeric value: {CANARY}"),
    "unknown poison": lambda call: Poison(lambda item: True, f"Something nobody has seen: {CANARY}"),
    "page": lambda call: Garbage(200, f"<html>{CANARY}</html>".encode()),
    "page of an error": lambda call: Garbage(400, f'{{"__type":"{CANARY}!","message":"{CANARY}"}}'.encode()),
    "no reply of this service": lambda call: Garbage(200, f'{{"{CANARY}":"{CANARY}"}}'.encode()),
    "truncated": lambda call: Truncated(),
    "wrong checksum": lambda call: WrongChecksum(),
    "reset": lambda call: Reset(applied=True),
    "closed": lambda call: CloseAfter(),
    "unprocessed": lambda call: Unprocessed() if call.operation == "BatchWriteItem" else None,
    "failed": lambda call: Failed(sender_fault=True) if call.operation == "SendMessageBatch" else None,
    "unmentioned": lambda call: Unmentioned() if call.operation == "SendMessageBatch" else None,
}
OBJECT_FAULTS: dict[str, ObjectFault] = {
    "refused": Refuse("InvalidRequest", 400, CANARY),
    "denied": Refuse("NobodyHasSeenThis", 403, CANARY),
    "server error": Refuse("InternalError", 500, CANARY),
    "in pieces": InPieces(Refuse("SlowDown", 503, CANARY)),
    "page": Page(),
    "cut": Cut(40),
    "headers": Says({"etag": f'"{CANARY}"', "last-modified": CANARY, "x-amz-meta-a": CANARY, "content-length": CANARY}),
    "checksum": Says({"x-amz-checksum-crc32": "AAAAAA=="}),
}


class Watch:
    """What the functions say: on standard output, in logs, and in the errors that they raise."""

    def __init__(self, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self._capfd, self._caplog = capfd, caplog
        self._raised: list[str] = []
        self.answers: list[Any] = []

    def call(self, handler: Callable[[Any, Any], Any], event: Any) -> None:
        """Invoke a function as Lambda does."""
        try:
            self.answers.append(handler(event, Context(SECONDS)))
        except Exception as error:
            self._raised += traceback.format_exception(error)

    def check(self, fault_server: FaultServer) -> None:
        """Fail where the canary was heard."""
        out, err = self._capfd.readouterr()
        heard = [*out.splitlines(), *err.splitlines(), *self._caplog.text.splitlines(), *self._raised]
        assert [line for line in heard if CANARY in line] == []
        events = [call.body for call in fault_server.calls if call.operation in ("PutEvents", "UpdateItem")]
        assert CANARY not in json.dumps(events)
        assert heard, "nothing was listened to"


@pytest.fixture
def watch(
    env: pytest.MonkeyPatch,
    fault_server: FaultServer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Watch:
    env.setenv("LEDGER_TABLE", "ledger")
    env.setenv("REJECTS_BUCKET", "bucket")
    env.setenv("MAX_REJECTS", "100%")
    fault_server.tables["ledger"] = Table({"ingestion": "S", "part": "S"})
    return Watch(capfd, caplog)


def some(fault: Callable[[Call], Fault | None]) -> Callable[[Call], Fault | None]:
    """The fault for two of the next calls in three, and for none of the many that would only wait."""
    numbers = count(1)

    def plan(call: Call) -> Fault | None:
        number = next(numbers)
        return fault(call) if number % 3 and number < 20 else None

    return plan


def ingest(watch: Watch, object_server: ObjectServer, files: dict[str, bytes]) -> None:
    for key, body in files.items():
        object_server.put("bucket", key, body)
    watch.call(producer.handler, event_of(*(s3_record("bucket", key) for key in files)))


def deliver(watch: Watch, fault_server: FaultServer) -> None:
    """Hand the worker what is in the queue, and messages of others."""
    queued = [each.lambda_record() for each in fault_server.queues["user-csv-queue"].messages]
    bodies: list[str | Json] = [
        CANARY,
        f'{{"{CANARY}":"{CANARY}"',
        {"name": CANARY},
        {"name": CANARY, "mail": f"{CANARY}@x.org", "phone": [CANARY]},
        {"v": 9, "rows": [[CANARY]]},
        {**packed([[1, CANARY, CANARY]]), "columns": [CANARY, "email"]},
        packed([[1, CANARY, f"{CANARY}5@x.org", CANARY * 45_000]]),
    ]
    others = [sqs_record(f"other-{number}", body) for number, body in enumerate(bodies)]
    watch.call(worker.handler, event_of(*queued, *others))


def ask(watch: Watch) -> None:
    token = base64.urlsafe_b64encode(json.dumps([{"email": CANARY, "createdAt": "1"}, False]).encode()).decode()
    for path, method, parameters in (
        (f"/users/{CANARY}1@x.org", "GET", ()),
        (f"/users/{CANARY}1@x.org/history", "GET", (("startKey", token),)),
        ("/users", "GET", (("startKey", token.rstrip("=")), ("limit", "5"))),
        ("/users", "GET", (("startKey", CANARY),)),
        ("/users", "GET", ((CANARY, CANARY),)),
        (f"/{CANARY}", CANARY, ()),
        ("/ingestions", "GET", (("prefix", CANARY), ("startKey", CANARY))),
        (f"/ingestions/{CANARY}", "GET", ()),
    ):
        event = FRONT_ENDS["rest"](path, method, parameters)
        event["headers"] |= {"Authorization": CANARY, "X-Forwarded-For": CANARY}
        watch.call(query.handler, event)
    watch.call(query.handler, {"httpMethod": "GET", "path": [CANARY], "headers": {CANARY: CANARY}})


@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_of_a_service_shows_data(
    name: str, watch: Watch, fault_server: FaultServer, object_server: ObjectServer
) -> None:
    ingest(watch, object_server, FILES)
    fault_server.plan = some(FAULTS[name])
    ingest(watch, object_server, {f"again-{key}": body for key, body in FILES.items()})
    fault_server.plan = some(FAULTS[name])
    deliver(watch, fault_server)
    fault_server.plan = some(FAULTS[name])
    ask(watch)
    watch.check(fault_server)
    queued = [message.body for message in fault_server.queues["user-csv-queue"].messages]
    assert CANARY in "".join(queued)


@pytest.mark.parametrize("name", OBJECT_FAULTS)
def test_no_fault_of_s3_shows_data(
    name: str, watch: Watch, fault_server: FaultServer, object_server: ObjectServer
) -> None:
    object_server.plan = lambda request: OBJECT_FAULTS[name] if request.number % 3 and request.number < 30 else None
    ingest(watch, object_server, FILES)
    deliver(watch, fault_server)
    watch.check(fault_server)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        (PRODUCTS_TOML, {"products.csv": PRODUCTS}),
        (ORDERS_TOML, {"orders.csv": ORDERS, "lines.jsonl": FILES["lines.jsonl"]}),
    ],
    ids=["products", "orders"],
)
def test_no_rule_of_a_schema_shows_data(
    schema: Any,
    files: dict[str, bytes],
    watch: Watch,
    env: pytest.MonkeyPatch,
    fault_server: FaultServer,
    object_server: ObjectServer,
) -> None:
    env.setenv("SCHEMA", str(schema))
    ingest(watch, object_server, files)
    deliver(watch, fault_server)
    watch.check(fault_server)
