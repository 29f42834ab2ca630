"""What of the command needs no AWS: its arguments, its words, the made-up file, the template for one machine."""

import errno
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from rich.console import Console

from engine.cli.command import main
from engine.cli.demo import run_demo
from engine.cli.display import Display
from engine.cli.errors import CliError
from engine.cli.follow import Outcome, Upload
from engine.cli.generate import HEADER, people
from engine.cli.ingest import Place, notification, rows_of, run_ingest, s3_address
from engine.cli.queues import Queues
from engine.cli.reasons import Reason
from engine.cli.stack_client import count_rows
from engine.cli.target import is_endpoint, is_loopback, local_defaults
from engine.cli.words import command_as_called, counted, shortened
from engine.config import QuerySettings
from engine.deployment.checkout import CHECKOUT, TEMPLATE
from engine.deployment.template import TemplateError, read_template, without_tls_policies, write_template
from engine.errors import BadFile
from engine.events import Arrival, Notice, read_event
from engine.identity import ObjectVersion
from engine.local.packaging import run_from_source
from engine.local.server import local_credentials
from engine.reading.block import Reject
from tests.builders.samples import PRODUCTS_TOML

LOCAL = "http://127.0.0.1:4566"
NOBODY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION")
SCHEMA = QuerySettings.from_env({}).schema


@pytest.mark.parametrize("url", [LOCAL, "https://dynamodb.us-east-1.amazonaws.com/", "http://[::1]:80", "HTTP://a-b"])
def test_an_endpoint(url: str) -> None:
    assert is_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:4566", "ftp://a", "http://", "http://:80", "http://a:99999", "http://a:0", "http://a:b"),
        *("http://[::1", "http://a b", "http://a..b", "http://-a", "http://a_b", "http://a?b"),
    ],
)
def test_no_endpoint(url: str) -> None:
    assert not is_endpoint(url)


def test_an_endpoint_on_this_machine() -> None:
    assert all(map(is_loopback, [LOCAL, "http://127.9.9.9", "http://localhost:1", "http://[::1]:80"]))
    assert not any(map(is_loopback, ["http://127.0.0.1.example.com", "http://10.0.0.1", "https://example.com"]))


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NOBODY:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nothing_set")
def test_nobody_is_root_on_a_local_endpoint_only() -> None:
    before = dict(os.environ)
    with local_defaults(LOCAL):
        assert os.environ["AWS_ACCESS_KEY_ID"] == "test"
        assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1"
    for url in (None, "https://example.com"):
        with local_defaults(url):
            assert dict(os.environ) == before


def test_somebody_stays_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with local_defaults(LOCAL):
        assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_DEFAULT_REGION"]) == ("mine", "eu-west-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with local_defaults(LOCAL):
        assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_DEFAULT_REGION"]) == ("mine", "us-east-1")
    assert "AWS_DEFAULT_REGION" not in os.environ


def test_the_local_user_asks_no_metadata_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with local_credentials():
        assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
        assert "AWS_PROFILE" not in os.environ
    assert os.environ["AWS_PROFILE"] == "mine"


def test_an_address_in_s3() -> None:
    assert s3_address("s3://b/uploads/x.csv") == s3_address("S3://b/uploads/x.csv") == ("b", "uploads/x.csv")
    assert s3_address("uploads/x.csv") is None
    for source in ("s3:///x.csv", "s3://x.csv", "s3://b/"):
        with pytest.raises(CliError, match="does not name an object"):
            s3_address(source)


def ingest(path: Path) -> None:
    run_ingest(Display(Console(file=io.StringIO())), str(path), Place("s", None, None))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name:mail:phone\nA:a@b.c:1\n", "separated by :"),
        ("name,mail;phone\nA,a@b.c;1\n", "separated by commas or semicolons"),
        ("name,mail,email\n", "mail twice"),
        ("a,b\n1,2\n", "lacks the required columns"),
        ("", "is empty"),
    ],
)
def test_a_file_that_would_be_refused_is_not_uploaded(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(CliError, match=f"x.csv was not uploaded: .*{reason}"):
        rows_of(path, SCHEMA)


@pytest.mark.parametrize("command", ["ingest x.csv", "local", "demo", "deploy", "images", "template"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "wrong.toml cannot be read: No such file"),
        (b"\xff", "wrong.toml cannot be read: it is not UTF-8 text"),
        (b"version = 2", "schema .*wrong.toml: version: "),
    ],
)
def test_invalid_schema_ends_a_command_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, text: bytes | None, reason: str
) -> None:
    path = tmp_path / "wrong.toml"
    if text is not None:
        path.write_bytes(text)
    assert main([*command.split(), "--schema", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"millpond: .*{reason}", line)


def test_template_of_a_schema_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["template"]) == 0
    written = read_template(capsys.readouterr().out)
    assert written == read_template(TEMPLATE.read_text())
    assert main(["template", "--schema", str(PRODUCTS_TOML)]) == 0
    parameters = read_template(capsys.readouterr().out)["Parameters"]
    chosen = ("QueueName", "TableName", "Collection", "PartitionKeyName", "SortKeyName", "SchemaPath")
    assert [parameters[name]["Default"] for name in chosen] == [
        "products-queue", "products", "products", "sku", "", "/opt/millpond/schema.toml"
    ]  # fmt: skip


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(CliError, match="is a directory"):
        ingest(tmp_path / "x.csv")


def test_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "x.csv")
    with pytest.raises(CliError, match=r"x\.csv is a pipe, not a file: write its content to a file"):
        ingest(path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "The file's name is empty: give the path of a file, or s3://BUCKET/KEY"),
        ("none.csv", "none.csv does not exist"),
        ("/dev/null/x.csv", "/dev/null/x.csv does not exist"),
        ("a\nb.csv", r"'a\\nb.csv' does not exist"),
        ("/dev/null", "/dev/null is a device, not a file"),
        ("x" * 300 + ".csv", "x.csv cannot be read: File name too long"),
        ("x\0.csv", r"'x\\x00.csv' cannot be read: a path has no null character"),
        ("s3://bad", "s3://bad does not name an object"),
        ("s3://", "s3:// does not name an object"),
        ("s3://bucket/", "s3://bucket/ does not name an object"),
        ("s3://bucket/uploads/", "s3://bucket/uploads/ names a folder, not an object"),
        ("s3://bucket/x.pdf", "s3://bucket/x.pdf: Only data files are allowed: .csv"),
    ],
)
def test_what_cannot_be_ingested_is_named_with_the_reason(source: str, said: str) -> None:
    with pytest.raises(CliError, match=said):
        run_ingest(Display(Console(file=io.StringIO())), source, Place("s", None, None))


def test_file_in_a_directory_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "stat", denied)  # root may read everything
    with pytest.raises(CliError, match=r"x\.csv cannot be read: Permission denied"):
        ingest(tmp_path / "x.csv")


@pytest.mark.parametrize("options", [["b.csv"], ["b.csv", "c.csv"], ["--timeout", "5", "b.csv"]])
def test_ingest_takes_one_file_at_a_time_and_says_so(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ingest", "a.csv", *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "millpond: error: ingest takes one file at a time: run it once for each of a.csv, b.csv" in told


@pytest.mark.parametrize("options", [["--nope"], ["b.csv", "--nope=1"]])
def test_unknown_option_of_ingest_is_not_taken_for_a_file(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["ingest", "a.csv", *options])
    told = capsys.readouterr().err
    assert "unrecognized arguments" in told
    assert "--nope" in told


@pytest.mark.parametrize("rows", [1, 7, 8, 2_500])
def test_the_made_up_file_has_the_rows_it_says(rows: int, tmp_path: Path) -> None:
    pieces = list(people(rows, seed=3))
    assert pieces == list(people(rows, seed=3))
    assert pieces[0] == (HEADER, 0)
    path = tmp_path / "people.csv"
    path.write_bytes(b"".join(piece for piece, _ in pieces))
    assert count_rows(path, SCHEMA) == rows
    valid = sum(valid for _, valid in pieces)
    assert valid == rows if rows < 8 else rows - valid >= 6


def test_a_refused_header_ends_the_count(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("nothing\n" * 10)
    with pytest.raises(BadFile):
        count_rows(path, SCHEMA)


@pytest.mark.parametrize("version", ["v1", None])
def test_the_notification_is_what_the_producer_reads(version: str | None) -> None:
    source = ObjectVersion("b", "uploads/a b+ü.csv", version, "abc", 1_775_260_800)
    event = notification(source)
    assert read_event(event) == [Notice([Arrival(source.ref)])]
    assert unquote_plus(event["Records"][0]["s3"]["object"]["key"]) == source.key


def test_the_production_template_runs_from_source() -> None:
    template = read_template((CHECKOUT / "deploy" / "template.yaml").read_text())
    before = json.dumps(template)
    fitted = run_from_source(
        template, runtime="python3.11", python_path=["/a", "/b"], parameters={"WorkerMaximumConcurrency": "2"}
    )
    assert json.dumps(template) == before
    assert len(write_template(fitted)) <= 51_200
    functions = [each["Properties"] for each in fitted["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    assert len(functions) == 3
    for function in functions:
        assert (function["PackageType"], function["Runtime"]) == ("Zip", "python3.11")
        assert "ImageConfig" not in function
        assert "import" in function["Code"]["ZipFile"]
        assert function["Environment"]["Variables"]["PYTHONPATH"] == "/a:/b"


def test_policies_that_demand_tls_are_left_out_for_plain_http() -> None:
    template = read_template((CHECKOUT / "deploy" / "template.yaml").read_text())
    names = {
        name for name, each in template["Resources"].items() if each["Type"].endswith(("BucketPolicy", "QueuePolicy"))
    }
    assert len(names) == 6
    kept = without_tls_policies(template)
    assert set(template["Resources"]) - set(kept["Resources"]) == names
    assert len(write_template(kept)) <= 51_200


@pytest.mark.parametrize("text", ["a: [", "[]", "Resources: 1"])
def test_what_is_no_template(text: str) -> None:
    with pytest.raises(TemplateError):
        read_template(text)


def test_words() -> None:
    assert [counted(n, "row") for n in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "ab…")


def test_the_command_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/millpond")
    assert command_as_called("/usr/bin/millpond") == command_as_called("-c") == "millpond"
    assert command_as_called(".venv/bin/millpond") == ".venv/bin/millpond"
    assert command_as_called("/my work/millpond") == "'/my work/millpond'"


@pytest.mark.parametrize("width", [60, 80])
def test_nothing_goes_past_the_edge(width: int) -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=width, force_terminal=True, color_system=None, highlight=False))
    display.done("people.csv: 49,875 rows written, 125 rejected", 12.3)
    display.done("50,010 rows read = 49,885 written + 125 rejected: every row is accounted for")
    display.note("CSV with row, offset, reason and record: correct the records and upload them again.")
    display.failed("a word " * 30)
    display.json('{\n  "items": [\n    {' + '"name": "John Doe", ' * 20 + "}\n  ]\n}")
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].endswith("12.3 s")
    assert all(line.startswith("  ") for line in lines)


@pytest.mark.parametrize(("width", "cells"), [(60, 8), (80, 20)])
def test_the_bar_keeps_its_width(width: int, cells: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    with Display(console).bars() as report:
        report([{**DOCUMENT, "read": 50_000, "inFlight": 18_025, "isRead": True, "status": "writing"}])
    shown = [
        line for line in file.getvalue().replace("\r", "\n").replace("\x1b[2K", "").splitlines() if "31,975" in line
    ]
    assert shown
    assert shown[-1].index("x.csv") == len("  ") + cells + len(" ")
    assert "x.csv · 31,975 of 50,000 rows" in shown[-1]
    assert len(shown[-1]) <= width


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with Display(Console(file=file, width=200)).bars() as report:
        for read in range(500):
            report([{**DOCUMENT, "read": 1_000 + read, "isRead": False, "status": "reading"}])
        report([{**DOCUMENT, "rejected": 40, "ended": "2026-04-04T00:00:01.000Z"}])
    assert file.getvalue().splitlines() == [
        "  … x.csv · 940 of 1,000 rows read so far · 40 rejected · reading",
        "  … x.csv · 1,240 of 1,300 rows · 40 rejected · writing",
    ]


DOCUMENT = {
    "ingestion": "i1",
    "key": "uploads/x.csv",
    "status": "writing",
    "reason": "",
    "isRead": True,
    "read": 1_300,
    "written": 1_200,
    "rejected": 40,
    "superseded": 0,
    "inFlight": 60,
    "ended": None,
    "ignoredColumns": [],
    "absentColumns": [],
    "replaced": 0,
    "replacedExact": True,
}
OUTCOME = Outcome(
    Upload(ObjectVersion("b", "x.csv", None, "e", 1), 0.0, 0.0, 1),
    rows=1_300,
    document=DOCUMENT,
    seconds=1.0,
    queues=Queues(2, 1, 0),
)


def shown(outcome: Outcome, again: str | None = "millpond ingest s3://b/x.csv") -> str:
    file = io.StringIO()
    Display(Console(file=file, width=200)).missing("x.csv", outcome, again)
    return file.getvalue()


def test_what_is_known_of_missing_rows_and_what_is_not() -> None:
    text = shown(OUTCOME)
    assert "x.csv: of 1,300 rows 1,200 in the table, 40 rejected, 60 missing" in text
    assert "The producer has sent all rows." in text
    assert "In the record queue: 2 messages" in text
    assert "In the dead-letter queue: 1 message," in text
    assert "failure queue" not in text
    assert "Queues do not tell which file a message is of." in text
    assert "millpond ingest s3://b/x.csv" in text


def test_producer_that_gave_up_is_quoted_and_nothing_is_suggested() -> None:
    document = {**DOCUMENT, "status": "failed", "reason": "the header lacks the column mail", "ended": "2026"}
    text = shown(replace(OUTCOME, document=document))
    assert "The ingestion has ended as failed: the header lacks the column mail" in text
    assert "millpond ingest" not in text


def test_producer_that_is_not_done() -> None:
    assert "The producer has not read the file to its end." in shown(
        replace(OUTCOME, document={**DOCUMENT, "isRead": False})
    )
    assert "The producer has not begun to read the file" in shown(replace(OUTCOME, document=None))


def remarks(**facts: object) -> str:
    file = io.StringIO()
    Display(Console(file=file, width=200)).remarks({**DOCUMENT, **facts})
    return " ".join(file.getvalue().split())


@pytest.mark.parametrize(
    ("is_exact", "text"),
    [
        (True, "Rows replaced by a later row of the file with the same key: 1,234"),
        (False, "Rows replaced by a later row of the file with the same key: at least 1,234"),
    ],
)
def test_replaced_rows_are_told(is_exact: bool, text: str) -> None:
    assert remarks(replaced=1_234, replacedExact=is_exact) == text


def test_ignored_and_absent_columns_are_told_and_a_near_miss_is_asked_about() -> None:
    assert remarks(ignoredColumns=["telephone", "fa\x1bx", "column 7"], absentColumns=["phone", "note"]) == (
        "Ignored, since the schema has no such column: telephone, fa·x, column 7 "
        "Absent from the file, so no row has a value of its own: phone, note "
        "telephone is ignored, phone is absent: is it the same column? If so, add an alias to the schema, "
        'aliases = ["telephone"] under [columns.phone], and ingest the file again.'
    )


def test_only_some_of_many_columns_are_listed() -> None:
    text = remarks(ignoredColumns=[f"{'x' * 99}{number}" for number in range(5_000)])
    assert text.endswith(" and 4,980 more")
    assert len(text) < 20 * 65 + 80


def test_nothing_is_remarked_where_there_is_nothing_to_say() -> None:
    assert remarks() == ""


def test_name_that_is_not_utf_8_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "M\udcfcller.csv"
    path.write_text("name,mail\nA,a@b.c\n")
    with pytest.raises(CliError, match="name must be UTF-8 text"):
        ingest(path)


def test_demo_refuses_a_stack_that_it_would_not_use() -> None:
    display = Display(Console(file=io.StringIO()))
    with pytest.raises(CliError, match="need --endpoint-url"):
        run_demo(display, rows=5, seed=1, endpoint_url=None, stack_name="nope", region=None)


def test_brackets_in_names_and_reasons_are_shown_as_they_are() -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=200))
    display.reasons([Reason("set encoding in [format]", 1, Reject(1, 0, "", "[red]a"))])
    display.counts("rejected because", {"set encoding in [file]": 1})
    display.ingestions([{**DOCUMENT, "key": "uploads/[b]x.csv", "started": None}])
    display.summary([("[a]x.csv", OUTCOME)])
    shown = file.getvalue()
    assert all(text in shown for text in ("[format]", "[red]a", "[file]", "[b]x.csv", "[a]x.csv"))
