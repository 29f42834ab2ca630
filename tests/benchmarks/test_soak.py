"""The soak: its arithmetic, and a short run of both functions."""

import subprocess
import sys

from benchmarks.soak import BATCH, OBJECT_ROWS, Sample, events, growth


def samples(*memory: int) -> list[Sample]:
    return [Sample(row, {"memory": each}) for row, each in enumerate(memory)]


def test_growth_is_from_the_second_to_the_last_quarter() -> None:
    assert growth(samples(1, 9, 5, 5, 6, 6, 7, 7), "memory") == 2
    assert growth(samples(1, 2, 5, 5, 5, 5, 5, 5), "memory") == 0


def test_events_have_so_many_rows() -> None:
    assert sum(count for count, _ in events("producer", 3 * OBJECT_ROWS)) == 3 * OBJECT_ROWS
    assert [count for count, _ in events("worker", 1)] == [BATCH[0] * BATCH[1]]


def test_short_soak() -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--rows", "80000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "producer: 80,000 rows in 4 events" in done.stdout, done.stderr
    assert "worker: 80,000 rows in 16 events" in done.stdout
