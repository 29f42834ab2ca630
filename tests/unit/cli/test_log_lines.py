"""Lines of the functions' logs: which are shown, and how."""

import pytest

from engine.cli.log_lines import read_line

OBJECT = '{"event":"object","key":"uploads/a b.csv","status":"complete","reason":"","totalRows":10,"found":null}'


def test_structured_line_is_read_behind_lambdas_prefix() -> None:
    line = read_line(1_775_260_801_234, "producer", f"[WARNING]\t2026-04-04T00:00:01.234Z\tsome-id\t{OBJECT}\n")
    assert line is not None
    assert line.document["event"] == "object"
    assert (line.document["time"], line.document["function"]) == ("2026-04-04T00:00:01.234Z", "producer")
    assert line.text == "00:00:01.234  producer  WARNING  object  key=uploads/a b.csv status=complete totalRows=10"


@pytest.mark.parametrize(
    "message",
    [
        "START RequestId: 1 Version: $LATEST\n",
        "REPORT RequestId: 1\tDuration: 3.03 ms",
        '{"_aws":{"Timestamp":1},"RowsRead":3}',
        "{broken",
        "",
    ],
)
def test_line_that_says_nothing_is_left_out(message: str) -> None:
    assert read_line(0, "worker", message) is None


@pytest.mark.parametrize(
    "message", ["[ERROR] ServiceError: no table\nTraceback …", "2026 some-id Task timed out after 60 s"]
)
def test_fault_of_an_invocation_is_shown(message: str) -> None:
    line = read_line(0, "worker", message)
    assert line is not None
    assert (line.level, line.fields["text"]) == ("ERROR", message)
