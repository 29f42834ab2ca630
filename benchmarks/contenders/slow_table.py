"""Workers, a queue and a table with little capacity, under virtual time: hours of throttling in seconds.

Nothing is sent: the services are the models of `tests.fakeaws`, the worker's job and writer are the real ones.
"""

from __future__ import annotations

import io
import logging
import random
from contextlib import redirect_stdout

from benchmarks.contenders.window import measure, read_spec
from tests.fakeaws.virtual_time import run
from tests.simulation.workers import Pond, slow_table


def main() -> None:
    """Let ten workers empty a queue into a table of so many ``wcu``, and tell what came of the messages."""
    logging.getLogger("millpond").setLevel(logging.CRITICAL)
    spec = read_spec()
    more: dict[str, float] = {}

    def once() -> int:
        random.seed(spec["seed"])
        pond = Pond(slow_table(spec["wcu"], whole_share=spec["whole_share"]))

        async def scenario() -> float:
            pond.fill(spec["messages"], spec["rows"])
            return await pond.drain()

        with redirect_stdout(io.StringIO()):  # the metrics of each invocation
            seconds = run(scenario())
        writes = sum(pond.table.writes.values())
        more["dead_lettered"] = len(pond.dead.held) / pond.messages
        more["used"] = writes / (spec["wcu"] * seconds)
        more["writes_a_row"] = writes / pond.rows
        more["handed_on"] = pond.handed_on / pond.messages
        more["virtual_hours"] = seconds / 3600
        return len(pond.table.items)

    measure(spec, once, more=more)


if __name__ == "__main__":
    main()
