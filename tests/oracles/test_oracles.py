"""Generated files read by the engine and by Python's csv and json: rows are equal, or rejected with a reason.

Some of them; the program that makes them reads any number.
"""

from collections import Counter

import pytest

from tests.oracles.files import COMPRESSIONS, ENCODINGS, KINDS, compare, make

FILES = 1_500


@pytest.mark.parametrize("part", range(5))
def test_rows_are_equal_or_rejected(part: int) -> None:
    counts: Counter[str] = Counter()
    for number in range(part, FILES, 5):
        file = make(str(number))
        outcome = compare(file)
        assert outcome.different is None, f"file {number}, {file.kind}: {outcome.different}"
        counts.update({file.kind: 1, "equal": outcome.equal, "rejected": outcome.rejected})
        counts["guessed"] += bool(outcome.guessed)
    assert all(counts[kind] > FILES // 100 for kind in KINDS)
    assert counts["equal"] > 5 * counts["rejected"]
    # Of files whose dialect is not declared, a few of one or two rows fit another one as well.
    assert counts["guessed"] <= 3


def test_files_are_of_every_encoding_and_compression() -> None:
    files = [make(str(number)) for number in range(300)]
    declared = {file.form.encoding for file in files}
    assert declared == set(ENCODINGS.values())
    assert {file.form.compression for file in files} == {None, *COMPRESSIONS}


@pytest.mark.parametrize("kind", KINDS)
def test_other_text_would_be_noticed(kind: str) -> None:
    file = next(file for number in range(1_000) if (file := make(str(number))).kind == kind and compare(file).equal > 2)
    places = [place for place, byte in enumerate(file.text) if chr(byte).isdigit()][-20:]
    texts = [file.text[:place] + b"%d" % ((file.text[place] - 47) % 10) + file.text[place + 1 :] for place in places]
    assert sum(compare(file._replace(text=text)).different is not None for text in texts) > 3
