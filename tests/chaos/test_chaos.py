"""A few scenarios with real faults; `python -m tests.chaos` runs more."""

import random

from engine.local.server import LocalServer, local_credentials
from tests.chaos.scenario import opened_world, run_scenario

SEEDS = (4, 6)


async def test_no_row_is_lost_or_doubled_when_processes_die_and_services_fail() -> None:
    with LocalServer() as server, local_credentials():
        async with opened_world(server, random.randrange(2**32)) as world:
            for seed in SEEDS:
                await run_scenario(world, seed)
            assert world.report.rows
            assert world.report.checks
