"""A CSV file of any length with people in it, some of their rows broken, for the demo. Pure, and the same each time.

The file has what real exports have: quoted names with commas and line breaks, letters beyond ASCII, addresses in
capitals, missing phone numbers. All of that is valid. Broken rows, about one in 400, come in every kind that a person
will meet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

HEADER = b"name,mail,phone\n"

ROWS_PER_CHUNK = 1_000

_FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Farid", "Grace", "Hana", "Inês", "João", "Kofi", "Lena", "Mei")
_LAST = ("Abe", "Becker", "Costa", "Dupont", "Eriksen", "Ferrari", "García", "Haddad", "Ivanova", "Jones", "Kim")

_BROKEN = (
    b",nameless{n}@example.com,5550{n:06d}\n",
    b"No Address {n},,5550{n:06d}\n",
    b"Too Short {n},short{n}@example.com\n",
    b"Comma, Unquoted {n},comma{n}@example.com,5550{n:06d}\n",
    b'"Sir" Quotes {n},quotes{n}@example.com,5550{n:06d}\n',
    b"Latin-1 Jos\xe9 {n},latin{n}@example.com,5550{n:06d}\n",
)


def people(rows: int, *, seed: int = 1, broken_share: float = 1 / 400) -> Iterator[tuple[bytes, int]]:
    """Yield the file as pieces of bytes, each with the number of valid rows in it.

    `rows` counts broken rows too. No two rows have the same address. With at least as many rows as there are kinds of
    broken ones, the last rows but one hold each kind once, so that a short file shows all of them.
    """
    chance = random.Random(seed)  # noqa: S311 - generated people need no cryptography
    yield HEADER, 0
    piece: list[bytes] = []
    valid = 0
    # The first row is always good, and so is the last.
    showcase = range(rows - len(_BROKEN), rows) if rows > len(_BROKEN) + 1 else range(0)
    for n in range(1, rows + 1):
        if n in showcase:
            piece.append(_broken_row(n, n - showcase.start))
        elif 1 < n < rows and chance.random() < broken_share:
            piece.append(_broken_row(n, chance.randrange(len(_BROKEN))))
        else:
            piece.append(_good_row(n, chance))
            valid += 1
        if len(piece) == ROWS_PER_CHUNK:
            yield b"".join(piece), valid
            piece, valid = [], 0
    if piece:
        yield b"".join(piece), valid


def _good_row(n: int, chance: random.Random) -> bytes:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    phone = "" if n % 50 == 0 else f"5551{n:06d}"
    if n % 97 == 0:
        return f'"{last}, {first}",person{n}@example.com,{phone}\n'.encode()
    if n % 997 == 0:
        return f'"{first}\n""{first[0]}"" {last}",person{n}@example.com,{phone}\n'.encode()
    if n % 31 == 0:
        return f"  {first} {last} ,PERSON{n}@Example.COM ,{phone}\n".encode()
    return f"{first} {last},person{n}@example.com,{phone}\n".encode()


def _broken_row(n: int, kind: int) -> bytes:
    # bytes have no format(), and one of the rows must not be UTF-8.
    return _BROKEN[kind].decode("latin-1").format(n=n).encode("latin-1")
