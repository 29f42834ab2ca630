"""The front for benchmarks: sockets, faster than any client, and exact counts of what came.

One call in `Settings.sample` is checked in full by the models: signature, limits, duplicate keys. The others are
answered with as little work as exact counts allow, and nothing is stored. What a client could gain by breaking a rule
is thereby noticed, and voids its run.
"""
