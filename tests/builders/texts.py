"""Texts as they come in files and messages."""

import re

from hypothesis import strategies as st

# What SQS lets through, as its documentation of SendMessage has it; everything else it refuses the whole message for.
LEGAL = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

# Every kind of character that some layer treats in its own way: JSON's escapes, what SQS refuses, what Unicode calls a
# line break, blanks that are no ASCII, characters of two to four bytes, letters whose lower case is longer.
ODD_CHARACTERS = 'a,"\\/ \t\x00\x01\x0b\x1c\x1f\x7f\x85\xa0é€\u2028\ufeff\ufffd\ufffe\uffff\U0001f600\U0001fffeİß'


def texts(max_size: int = 12, *, min_size: int = 0) -> st.SearchStrategy[str]:
    """Texts as a UTF-8 file may hold them: no lone surrogates, half of them of the odd characters."""
    # Not one alphabet of both: Hypothesis would make it one large range, in which the odd ones are lost.
    odd = st.text(st.sampled_from(ODD_CHARACTERS), min_size=min_size, max_size=max_size)
    return odd | st.text(st.characters(exclude_categories=["Cs"]), min_size=min_size, max_size=max_size)
