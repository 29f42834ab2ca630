"""Patterns of columns: a column matches as each of its values does alone, in time that grows with its length."""

from engine.schema.patterns import InvalidPattern, Pattern
from tests.fuzz.source import Source, seed

LONG = ["a" * 5_000, "ab" * 3_000, " " * 5_000 + "!"]

SEEDS = [
    *(
        seed(each + "\0" + "a\x1fab\x1fabc\x1f\x1fé")
        for each in ("(a+)+$", "[^@ ]+@[^@ ]+", r"\d{3}-\d{4}", "(?i)^a|b$", r"(\w+\s?)*")
    ),
    seed("\\Aa.$\0ab\x1fab\x1fb"),
    seed("(?:(?m:a$)|b)*\\b\0a\x1fa\nb\x1f\n"),
]
TOKENS = [
    *(b"(?i)", b"(?m)", b"(?-m)", b"(?s:", b"(?P<x>", b"|", b"*", b"+?", b"{2,}", b"{,3}", b"{1000}", b"[^", b"]", b"\\b", b"\\B"),
    *(b"\\A", b"\\z", b"^", b"$", b"\\n", b"\\C", b"\\Q", b"\\E", b"\\pL", b"\\x{0a}", b"\\W", b"\\s", b".", b"\x1f", b"\n", b"\\\\", b"\\"),
]  # fmt: skip


def check(data: bytes) -> None:
    """A pattern is refused with a reason, or means the same for a column and for one value."""
    text, _, values = Source(data).rest(300).decode("utf-8", "replace").partition("\0")
    try:
        pattern = Pattern(text)
    except InvalidPattern as error:
        assert str(error)
        return
    column = values.split("\x1f")
    assert pattern.misfits(column) == [i for i, value in enumerate(column) if pattern.misfits([value])]
    pattern.misfits(LONG)
