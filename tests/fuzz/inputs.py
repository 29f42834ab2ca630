"""Inputs for Hypothesis: seeds of a target, spliced and damaged."""

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.fuzz.targets import Target


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Seeds with pieces cut out, repeated, replaced or taken from another seed, and options of any kind after them."""
    edits = st.lists(
        st.tuples(st.integers(0, 2**16), st.integers(0, 40), st.integers(0, 5), st.binary(max_size=4)), max_size=8
    )
    changed = st.builds(
        lambda start, other, edits: edited(start, other, edits, target.tokens),
        st.sampled_from(target.seeds),
        st.sampled_from(target.seeds),
        edits,
    )
    options = st.binary(max_size=12)
    return st.builds(lambda text, tail: text[: max(0, len(text) - len(tail))] + tail, changed, options)


def edited(data: bytes, other: bytes, edits: Sequence[tuple[int, int, int, bytes]], tokens: Sequence[bytes]) -> bytes:
    """`data` after these edits: where, how many bytes, what is done, and with which bytes."""
    for place, length, kind, own in edits:
        at = place % (len(data) + 1)
        removed, kept = data[at : at + length], data[at + length :]
        put = (own, tokens[place % len(tokens)], b"", removed * 2, other[at : at + length], removed + own)[kind]
        data = data[:at] + put + (data[at:] if kind == 1 else kept)
    return data
