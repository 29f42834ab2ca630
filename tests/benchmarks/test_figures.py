"""Statistics, prices, capacity, latency, and the report: no clock in any of them."""

import statistics

import pytest

from benchmarks import data, prices, rivals
from benchmarks.figures import Summary, fairness, percentile, short, steady, summarise
from benchmarks.harness import Line, _hold, usual_figures
from benchmarks.model import Contender, Entry, Options, Run, Usual
from benchmarks.processes import RunFailed
from benchmarks.questions import QUESTIONS
from benchmarks.report import BEGIN, END, as_json, as_markdown, between_markers
from tests.fakeaws.latency import Latency


def test_median_and_spread() -> None:
    summary = summarise([{"a": 1.0, "b": 5.0}, {"a": 4.0}, {"a": 2.0}])
    assert summary == {"a": Summary(2.0, 1.0, 4.0), "b": Summary(5.0, 5.0, 5.0)}
    assert summary["a"].spread == 0.75
    assert summarise([]) == {}


def test_percentiles() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_steady_and_fairness() -> None:
    assert steady([(0, 5), (30, 7), (31, 8), (110, 9)], 30, 110) == 15
    assert fairness([100, 100, 100, 100]) == 0
    assert fairness([125, 100, 100, 75]) == 0.25
    assert fairness([0, 0]) == fairness([]) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.1234, "0.123"), (12.34, "12.3"), (1234.5, "1,230"), (2_345_678, "2,350,000")]
)
def test_three_digits(value: float, text: str) -> None:
    assert short(value) == text


def test_latency_has_requested_median_and_percentile() -> None:
    latency, again = Latency(10, 50, seed=1), Latency(10, 50, seed=1)
    delays = [latency.next() for _ in range(8192)]
    assert [again.next() for _ in range(3)] == delays[:3]
    assert statistics.median(delays) == pytest.approx(0.010, rel=0.05)
    assert percentile(delays, 0.99) == pytest.approx(0.050, rel=0.1)
    with pytest.raises(ValueError, match="median"):
        Latency(10, 5, seed=1)


def test_prices_of_a_million_records() -> None:
    usage = prices.Usage(
        records=2_000_000, seconds=10, invocations=400, sqs_requests=4_000, s3_gets=2, s3_puts=1, write_units=2e6
    )
    dollars = prices.dollars_per_million(usage)
    assert dollars["lambda"] == pytest.approx((10 * 1769 / 1024 * 0.0000166667 + 400 * 0.2e-6) / 2)
    assert dollars["sqs"] == pytest.approx(0.0008)
    assert dollars["s3"] == pytest.approx((2 * 0.0004 + 0.005) / 1000 / 2)
    assert dollars["total"] == pytest.approx(dollars["lambda"] + dollars["sqs"] + dollars["s3"])
    assert dollars["dynamodb_writes"] == pytest.approx(0.625)


def test_rows_have_requested_size() -> None:
    for size in (data.MIN_ROW_BYTES, 100, 400):
        assert len(data.block(size)) == size * data.BLOCK_ROWS
        assert data.shape_of(data.key_of(12, size)) == (12, size)
    assert data.shape_of(data.key_of(12, data.MIN_ROW_BYTES - 1)) is None
    assert len({data.row(number) for number in range(1, data.BLOCK_ROWS + 1)}) == data.BLOCK_ROWS


def test_cost_of_receiving() -> None:
    assert data.received_units(data.sqs_event(10, 1)) == 2
    payload = sum(len(record["body"].encode()) for record in data.sqs_event(10, 500)["Records"])
    assert data.received_units(data.sqs_event(10, 500)) == -(-payload // 65_536) + 1


def _entry() -> Entry:
    return Entry(
        contender=Contender("millpond", "Millpond", ("true",), "none"),
        label="Millpond",
        spec={},
        records_per_call=100,
        counted="rows_written",
        usual=Usual(received_units=3),
        cost=True,
    )


def _run(rows: int = 1_100, **counts: object) -> Run:
    result = {"records": 1_000, "total_records": 1_100, "wall": 2.0, "cpu": 1.0}
    seen = {"violations": 0, "notes": [], "rows_written": rows, "calls": {"BatchWriteItem": 44}, "bytes_in": 220_000}
    return Run([result], {**seen, "sqs_units": 0, "objects_put": 0, **counts}, 0.0, 1.5, 0.5, 64.0)


def test_usual_figures() -> None:
    figures = usual_figures(_entry(), _run())
    assert (figures["per_second"], figures["per_cpu_second"], figures["cores"]) == (500, 1_000, 0.5)
    assert figures["calls"] == pytest.approx(40_000)
    assert figures["billed_sqs"] == pytest.approx(30_000)
    assert figures["dynamodb_cents"] == pytest.approx(62.5)


def test_run_with_differing_counts_is_void() -> None:
    _hold(_entry(), _run())
    with pytest.raises(RunFailed, match="counted 1,099"):
        _hold(_entry(), _run(rows=1_099))
    with pytest.raises(RunFailed, match="25 items"):
        _hold(_entry(), _run(violations=1, notes=["25 items"]))


def test_report_and_its_place_in_the_readme() -> None:
    ours, other, absent = (
        Line("Millpond", "millpond", "as it is", rounds=[{"per_cpu_second": 100.0}]),
        Line("Other", "other", "well set", rounds=[{"per_cpu_second": 40.0}, {"per_cpu_second": 60.0}]),
        Line("Absent", "absent", "well set", missing="node is not installed"),
    )
    for line in (ours, other, absent):
        line.summary = summarise(line.rounds)
    question = next(question for question in QUESTIONS if question.name == "sign")
    about = {
        "date": "2026-04-04",
        "processor": "a processor",
        "cores": 2,
        "memory_gb": 8,
        "system": "Linux",
        "versions": {"Python": "3.11"},
        "placement": "Apart.",
        "rounds": 2,
        "revision": "0123abc",
    }
    answers = [(question, [ours, other, absent])]
    markdown = as_markdown(answers, about, {})
    assert "| Other | 50 ± 10 | – | 2.0× |" in markdown
    assert "Commit 0123abc." in markdown
    assert "missing: node is not installed" in markdown
    assert as_json(answers, about, {})["questions"][0]["entries"][1]["summary"]["per_cpu_second"]["median"] == 50
    assert between_markers(f"a{BEGIN}old{END}b", "new\n") == f"a{BEGIN}\n\nnew\n\n{END}b"
    with pytest.raises(ValueError, match="lacks"):
        between_markers("no markers", "new")


def test_questions_are_well_formed() -> None:
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
    for question in QUESTIONS:
        entries = question.entries(Options())
        assert len({entry.label for entry in entries}) == len(entries)
        assert question.chart in dict(question.columns)
        assert all(entry.contender.settings for entry in entries)
    assert rivals.MILLPOND.missing() is None
