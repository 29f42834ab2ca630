"""The questions, in the order in which they are asked and shown; each stands in its own file."""

from benchmarks.questions import (
    capacity,
    chain,
    coldstart,
    encode,
    formats,
    latency,
    memory,
    pack,
    parse,
    produce,
    query,
    share,
    sign,
    slow_table,
    work,
)

QUESTIONS = (
    work.QUESTION,
    work.TLS,
    produce.QUESTION,
    chain.QUESTION,
    query.QUESTION,
    latency.QUESTION,
    capacity.QUESTION,
    share.QUESTION,
    slow_table.QUESTION,
    memory.QUESTION,
    coldstart.QUESTION,
    sign.QUESTION,
    parse.QUESTION,
    formats.QUESTION,
    pack.QUESTION,
    encode.QUESTION,
)
