"""What an object's metadata says that it corrects, as the producer notes it in the ledger."""

import pytest

from engine.handlers import producer
from tests.builders.invocations import Context, event_of, s3_record
from tests.fakeaws.dynamodb import Table
from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer

ID = "0123456789abcdef0123"


@pytest.mark.parametrize("span_bytes", ["262144", "1073741824"])
@pytest.mark.parametrize(
    ("said", "noted"), [(ID, {"S": ID}), (ID.upper(), None), ("uploads/users.csv", None), ("", None), (None, None)]
)
def test_ledger_names_what_an_object_corrects(
    env: pytest.MonkeyPatch,
    fault_server: FaultServer,
    object_server: ObjectServer,
    span_bytes: str,
    said: str | None,
    noted: dict[str, str] | None,
) -> None:
    for name, value in {"LEDGER_TABLE": "ledger", "SPAN_BYTES": span_bytes}.items():
        env.setenv(name, value)
    env.setenv("SPAN_QUEUE_URL", fault_server.queue_url())
    ledger = fault_server.tables["ledger"] = Table({"ingestion": "S", "part": "S"})
    object_server.put("bucket", "uploads/a.csv", b"name,mail\n" + b"A,a@x.org\n" * 30_000)
    object_server.headers = {} if said is None else {"x-amz-meta-corrects": said}
    producer.handler(event_of(s3_record("bucket", "uploads/a.csv")), Context(60.0))
    (entry,) = [item for (_, part), item in ledger.items.items() if part == "entry" and "modified" in item]
    assert entry.get("corrects") == noted
    assert len(object_server.gets()) == 1 or span_bytes == "262144"
