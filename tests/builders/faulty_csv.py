"""Files of articles with one fault in their quotes, and honest files of letters and addresses, from a seed."""

import csv
import io
from dataclasses import dataclass
from random import Random

_ARTICLES = ["cable", "monitor", "mouse", "keyboard", "adapter", "lamp", "red chair", "hub usb", "long", "wide", "desk"]
_WORDS = ["the", "order", "arrived", "late", "and", "box", "was", "damaged", "but", "we", "are", "happy", "with", "it"]
_STREETS = ["Main Street", "Rue de la Paix", "Hauptstr.", "Park Avenue", "Via Roma"]
_CITIES = ["Berlin", "Paris", "Springfield", "Rome", "New York"]


@dataclass(frozen=True)
class Faulty:
    """`right` has what may be loaded: the rows before the fault was put in, and those that a line is by itself."""

    data: bytes
    width: int
    right: set[tuple[str, ...]]


def faulty_file(random: Random) -> Faulty:
    """Return a file with one wrong quote, and up to three inch marks at the end of a field."""
    width = random.choice([2, 3, 3, 4, 5, 8])
    style = random.choice([csv.QUOTE_MINIMAL] * 3 + [csv.QUOTE_ALL])
    rows = [_article(random, number, width) for number in range(1, random.randint(30, 200))]
    right = set(map(tuple, rows))
    lines = [_written([row], style=style) for row in rows]
    wrong, place = random.randrange(len(rows)), random.randrange(1, width)
    value = rows[wrong][place]
    broken = random.choice([f'"{value}', f'"{value}', f'"{value}, x', f'{value}"'])
    changes = [(wrong, place, broken)]
    for _ in range(random.randint(0, 3)):
        number, place = random.randrange(len(rows)), random.randrange(1, width)
        if number != wrong and "," not in rows[number][place]:
            changes.append((number, place, f'{rows[number][place]} 24"'.strip()))
    for number, place, text in changes:
        cells = [f'"{cell}"' if "," in cell else cell for cell in rows[number]]
        cells[place] = text
        lines[number] = ",".join(cells) + "\n"
        right.update(_alone(lines[number]))
    header = ",".join(["id", *(f"c{i}" for i in range(1, width))]) + "\n"
    return Faulty((header + "".join(lines)).encode(), width, right)


def honest_file(random: Random, delimiter: str, width: int) -> tuple[list[list[str]], bytes]:
    """Return rows, one column of which has text with line breaks, and the file that Python's csv makes of them."""
    place, kind = random.randrange(1, width), random.choice([_address, _letter])
    rows = [[str(number), *random.choices(_WORDS, k=width - 1)] for number in range(50)]
    for row in rows:
        row[place] = kind(random)
    header = [f"c{i}" for i in range(width)]
    style = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    return rows, _written([header, *rows], delimiter, style).encode()


def _article(random: Random, number: int, width: int) -> list[str]:
    names = [" ".join(random.choices(_ARTICLES, k=random.randint(1, 3))) for _ in range(width - 2)]
    names = [f"{name}, {random.choice(_ARTICLES)}" if random.random() < 0.05 else name for name in names]
    return [str(number), *names, random.choice(["", str(random.randint(1, 99)), f"{random.random() * 99:.2f}"])]


def _alone(line: str) -> list[tuple[str, ...]]:
    try:
        return [tuple(row) for row in csv.reader([line], strict=True)]
    except csv.Error:
        return []


def _written(rows: list[list[str]], delimiter: str = ",", style: int = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=style).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def _address(random: Random) -> str:
    number, street, city = random.randint(1, 200), random.choice(_STREETS), random.choice(_CITIES)
    return random.choice(
        [
            f"{street} {number}\n10115 {city}",
            f"{number} {street}, Apt. {number}\n{city}, 10115\nUSA",
            f"{street} {number}, {number}. floor\n10115 {city}, Europe",
            f"c/o J. Doe,\n{street} {number},\n{city}",
        ]
    )


def _letter(random: Random) -> str:
    first = random.choice(["Hi,", "Dear Sir or Madam,", "Hello John,", _sentence(random)])
    rest = [random.choice([_sentence(random), "", f"- {_sentence(random)}"]) for _ in range(random.randint(1, 5))]
    return "\n".join([first, *rest])


def _sentence(random: Random) -> str:
    text = " ".join(word + "," * (random.random() < 0.15) for word in random.choices(_WORDS, k=random.randint(3, 14)))
    if random.random() < 0.03:
        text += f" ({random.randint(1, 9)},{random.randint(0, 9)} kg)"
    if random.random() < 0.1:
        text += f' "{random.choice(_WORDS)}"'
    return f"{text.rstrip(',')}."
