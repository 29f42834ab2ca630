"""Fields: lines that every reader reads alike are found all at once as they are one by one."""

import io

from hypothesis import example, given
from hypothesis import strategies as st

from engine.reading.fields import is_strict, syntax_of
from engine.reading.format import RFC_4180

FIELDS = st.sampled_from(["", "a", '""', '"a"', '"""a"', '"a"""', '""""', '"a"",""b"', '""a', ' "a"', '"', '"a" '])
LINES = st.builds(lambda fields, end: ",".join(fields) + end, st.lists(FIELDS), st.sampled_from(["\n", "\r\n", "\r"]))


@given(st.lists(LINES).map("".join) | st.text('",a \r\n'))
@example('"a""')
@example('"a\nb"\n')
def test_lines_are_strict_together_if_each_of_them_is(text: str) -> None:
    syntax = syntax_of(RFC_4180)
    assert is_strict(text, syntax) is all(map(syntax.strict.fullmatch, io.StringIO(text, newline="")))


def test_text_with_the_character_that_stands_for_two_quotes_is_left_to_its_lines() -> None:
    assert not is_strict('\0"\n', syntax_of(RFC_4180))
    assert not is_strict("a\0\n", syntax_of(RFC_4180))
