"""The model of one huge object on AWS, and the page that shows it."""

import re
from pathlib import Path

import pytest

from benchmarks.scale import (
    FUNCTION_MB_PER_SECOND,
    PRODUCERS,
    TABLE_UNITS,
    WRITE_UNITS,
    Load,
    Measured,
    cold_seconds,
    tables,
)

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_page_has_the_tables_of_the_model() -> None:
    found = re.search(r"<!-- model: begin -->\n\n(.*)\n\n<!-- model: end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    assert found[1] == tables(Measured())


def test_page_states_what_was_measured() -> None:
    measured, page = Measured(), PAGE.read_text("utf-8")
    for value in (
        f"{measured.scan_mb:g} MB per CPU-second",
        f"{measured.producer_rows:,.0f} rows per CPU-second",
        f"{measured.worker_rows:,.0f} rows/s",
        f"| {measured.tls:g} |",
        f"| {measured.sqs_requests:,.0f} |",
        f"| {measured.ledger:.3%} |",
        f"| {measured.start:g} s |",
        f"| {FUNCTION_MB_PER_SECOND:g} MB/s |",
    ):
        assert value in page


def test_more_producers_and_more_write_units_are_never_slower() -> None:
    by_producers = [Load(producers, TABLE_UNITS, Measured()).seconds for producers in PRODUCERS]
    by_units = [Load(64, units, Measured()).seconds for units in WRITE_UNITS]
    assert by_producers == sorted(by_producers, reverse=True)
    assert by_units == sorted(by_units, reverse=True)


def test_what_binds_is_the_slower_of_table_and_producers() -> None:
    assert Load(1, TABLE_UNITS, Measured()).binds == "the table"
    assert Load(1, 1_000_000, Measured()).binds == "the producers"


def test_new_table_doubles_its_rate_each_half_an_hour() -> None:
    in_two_hours = 1_800 * (4_000 + 8_000 + 16_000 + 32_000)
    assert cold_seconds(40_000) == pytest.approx(7_200 + (1_000_000_000 - in_two_hours) / 40_000)
