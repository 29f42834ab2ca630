"""Run scenarios one after the other; the first that fails prints its seed and ends them."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from engine.local.server import LocalServer, local_credentials
from tests.chaos.scenario import ChaosError, opened_world, run_scenario


async def _run(server: LocalServer, first: int, count: int) -> int:
    began = time.monotonic()
    async with opened_world(server, first) as world:
        for seed in range(first, first + count):
            started = time.monotonic()
            try:
                await run_scenario(world, seed)
            except ChaosError as error:
                print(f"FAILED: {error}\nagain: python -m tests.chaos --from {seed} --seeds 1", flush=True)
                return 1
            print(f"seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
        report = world.report
        print(f"{count} scenarios in {time.monotonic() - began:,.0f} s: {report.rows:,} rows, none lost, none twice")
        print(f"ledger read {report.checks:,} times; {report.redriven:,} messages sent back by hand")
        for name, number in [*report.signals.items(), *((" ".join(k), n) for k, n in world.proxy.spoiled.items())]:
            print(f"  {number:>7,}  {name}")
    return 0


def main() -> int:
    """Return 1 if a scenario fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="how many scenarios (20)")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="SEED", help="the first seed (1)")
    options = parser.parse_args()
    with LocalServer() as server, local_credentials():
        return asyncio.run(_run(server, options.first, options.seeds))


if __name__ == "__main__":
    sys.exit(main())
