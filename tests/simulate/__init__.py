"""The whole system under one seed: real handlers, virtual time, simulated services and faults.

`plan.py` makes of a seed all that happens, `files.py` the files and what they must become. `world.py` runs a plan;
`functions.py` is Lambda, `network.py` and `cloud.py` are connections, services and faults, `clock.py` is the loop.
`checks.py` says what must hold. `__main__.py` runs many seeds, `mutate.py` shows that broken safeguards are found.
"""
