"""Lists of choices for property tests, at the cost of one draw."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

Choice = TypeVar("Choice")


def choices(
    pieces: Sequence[Choice], *, min_size: int = 0, max_size: int | None = None
) -> st.SearchStrategy[list[Choice]]:
    """Lists of any of at most 256 pieces, like `st.lists(st.sampled_from(pieces))` but several times as fast.

    Each byte of one drawn `bytes` chooses a piece, while `st.lists` draws twice for each element.
    """
    assert len(pieces) <= 256
    return st.binary(min_size=min_size, max_size=max_size).map(
        lambda drawn: [pieces[byte % len(pieces)] for byte in drawn]
    )
