"""Real faults: the chain on the local AWS, with its processes killed and stopped, and a proxy that spoils calls.

`python -m tests.chaos --seeds N` runs scenarios; one seed draws files, faults and moments. See docs/reliability.md.
"""
