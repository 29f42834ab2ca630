"""``python -m benchmarks.soak``: millions of rows through one producer and one worker, and what each holds meanwhile.

Each function runs in one process, event after event, against the stand-in for AWS. After each event its memory, open
descriptors, threads and tasks are noted. They must not grow with the rows; the picture shows it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import data
from benchmarks.contenders.soaked import HELD
from benchmarks.processes import environment, stand_in

OBJECT_ROWS = 20_000
BATCH = (10, 500)
"""Messages of an event, and rows of a message."""

GROWTH_MB = 5.0
"""By how much the memory of the last quarter may be above that of the second: noise of the allocator."""


class Sample(NamedTuple):
    """What a process held after so many rows."""

    rows: int
    held: dict[str, int]


def events(kind: str, rows: int) -> Iterator[tuple[int, Any]]:
    """Yield events with about so many rows in all, each with its number of rows."""
    if kind == "producer":
        for _ in range(-(-rows // OBJECT_ROWS)):
            yield OBJECT_ROWS, data.s3_event(data.key_of(OBJECT_ROWS))
        return
    messages, each = BATCH
    for number in range(-(-rows // (messages * each))):
        # Messages of one ingestion repeat, as redelivered ones would; row numbers are the next ones.
        yield messages * each, data.sqs_event(messages, each, first=1 + number * messages * each)


def soak(kind: str, rows: int, url: str) -> list[Sample]:
    """Put so many rows through one process; return what it held after each event."""
    env = environment(url, "", {"LEDGER_TABLE": data.LEDGER_TABLE})
    command = [sys.executable, "-m", "benchmarks.contenders.soaked", kind]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        samples, done = [], 0
        for count, event in events(kind, rows):
            process.stdin.write(json.dumps(event).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith(HELD.encode()):
                    done += count
                    samples.append(Sample(done, json.loads(line[len(HELD) :])))
                    break
            else:
                log.seek(0)
                raise SystemExit(f"{kind}: {log.read()[-2_000:].decode(errors='replace')}")
        process.stdin.close()
    return samples


MORE_DESCRIPTORS = 4
"""Connections that may open late: how many are in use depends on how calls fall together."""


def growth(samples: list[Sample], name: str) -> float:
    """Return by how much the last quarter's median is above the second quarter's."""
    quarter = len(samples) // 4
    second, last = (
        sorted(each.held[name] for each in part) for part in (samples[quarter : 2 * quarter], samples[-quarter:])
    )
    return last[quarter // 2] - second[quarter // 2]


def draw(found: dict[str, list[Sample]], path: Path) -> None:
    """Draw what each process held, over the rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "millpond", "font.size": 9})
    figure, panels = plt.subplots(2, 1, figsize=(8, 4.5), sharex=True, layout="constrained")
    for kind, samples in found.items():
        rows = [sample.rows / 1e6 for sample in samples]
        panels[0].plot(rows, [sample.held["memory"] / 1e6 for sample in samples], label=kind, linewidth=1)
        for name, style in (("descriptors", "-"), ("tasks", ":")):
            label = f"{kind}: {name}"
            panels[1].plot(rows, [each.held[name] for each in samples], style, label=label, linewidth=1)
    panels[0].set(ylabel="memory, MB", ylim=(0, None))
    panels[1].set(ylabel="held", xlabel="million rows", ylim=(0, None))
    for panel in panels:
        panel.legend(loc="center right", frameon=False)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> int:
    """Return 1 if something grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="rows for each function (10 million)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG of what was held")
    options = parser.parse_args()
    found, grew = {}, False
    with stand_in() as place:
        for kind in ("producer", "worker"):
            samples = found[kind] = soak(kind, options.rows, place.url)
            peak = max(sample.held["memory"] for sample in samples) / 1e6
            more = {name: growth(samples, name) for name in samples[-1].held}
            print(f"{kind}: {samples[-1].rows:,} rows in {len(samples):,} events, at most {peak:.0f} MB")
            counts = ", ".join(f"{count:+.0f} {name}" for name, count in more.items() if name != "memory")
            print(f"  from the second to the last quarter: {more['memory'] / 1e6:+.1f} MB, {counts}", flush=True)
            grew |= more["memory"] > GROWTH_MB * 1e6 or more["descriptors"] > MORE_DESCRIPTORS
            grew |= more["threads"] > 0 or more["tasks"] > 0
    if options.plot:
        draw(found, options.plot)
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
