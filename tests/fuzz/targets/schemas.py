"""Schema files of any content, and values before the columns that they declare."""

from engine.decimal_text import canonical_number
from engine.errors import BadFile, SchemaError
from engine.exact_json import NumberText
from engine.schema.model import Schema
from engine.schema.parse import parse_schema
from tests.builders.newest import NEWEST_TOML
from tests.builders.samples import ORDER_LINES_TOML, ORDERS_TOML, PRODUCTS_TOML
from tests.fuzz.source import Source, seed

_SMALL = """version = 1
collection = "t"
[key]
partition = "k"
[columns.k]
required = true
[columns.d]
type = "%s"
%s
"""
_SETTINGS = (
    ("S", 'pattern = "(a+)+$"\nmax_length = 40\nnull_values = ["NA"]\ndefault = "x"'),
    ("N", 'thousands = "."\ndecimal = ","\ncurrency = ["€", "EUR"]\ndefault = 1'),
    ("date", 'input = ["%d.%m.%Y", "iso", "%y%j"]\nfirst_year = 1970\noutput = "epoch"'),
    ("datetime", 'input = ["%d/%m/%Y %I:%M %p", "epoch-ms", "iso"]\ntimezone = "Europe/Berlin"\noutput = "iso-us"'),
    ("set", 'separator = "|"\nitems = "N"\ntrim = true'),
    ("list", 'empty = "null"'),
    ("json", 'path = "a.b"'),
    ("binary", 'encoding = "hex"\ndefault = "00"'),
    ("BOOL", 'default = false\n[format]\ntype = "csv"\ndelimiter = ";"\nskip_lines = 2\nnames = ["k", "d"]'),
)
SEEDS = [
    *(seed(path.read_bytes()) for path in (ORDERS_TOML, PRODUCTS_TOML, ORDER_LINES_TOML)),
    seed(NEWEST_TOML),
    *(seed(_SMALL % each) for each in _SETTINGS),
]
TOKENS = [
    *(b"[columns.", b"[key]", b"[format]", b"[computed]", b"[constants]", b"[generated]", b'"""', b"'''", b"= [", b"= {", b"\\u0000"),
    *(b'partition = "', b'sort = "', b'type = "', b'"date"', b'"datetime"', b'"N"', b'"set"', b'"json"', b'"binary"', b"place = 1", b'path = "'),
    *(b'input = ["', b"%Y", b"%m", b"%d", b"%H", b"%z", b"%f", b"%s", b"%%", b'"epoch"', b'timezone = "', b'"UTC"', b'"../x"', b"{sku}", b"{{"),
    *(b'pattern = "', b"(a+)+$", b"[^", b"{1000}", b"(?i)", b"\\\\pL", b"required = true", b"default = ", b"1e400", b"nan", b"1979-05-27"),
]  # fmt: skip

VALUES = (
    *("", " ", "a", "a" * 300 + "!", "NA", "1", "-1.50", "1.234,50 €", "1e400", "0x1", "\u0663", "true", "31.12.2024", "2024-02-30"),
    *("2024-12-31T23:59:60Z", "12/31/2024 12:00 AM", "99999999999999999999", "a|b|a", "|", "[1,2]", '{"a":{"b":[1e2,null]}}', "zz", "00ff"),
    *("\0", "\U0001f600", "é" * 700, "2024", "1" * 200, "9" * 39, " 1 ", "-", "+", ".", "1,2,3", "{", "[" * 500),
)  # fmt: skip


def check(data: bytes) -> None:
    """A file is a schema, or refused with its key in it; a schema's columns take or reject any value."""
    text = Source(data).rest(20_000).rstrip(b"\0").decode("utf-8", "replace")
    try:
        schema = parse_schema(text, "f.toml")
    except SchemaError as error:
        assert str(error).startswith("schema f.toml: ")
        return
    hash(schema.columns)
    for header in ([column.name for column in schema.columns], ["x", *(column.attribute for column in schema.columns)]):
        try:
            plan = schema.plan(header)
        except BadFile:
            continue
        rows = [[value] * len(header) for value in VALUES] + [[], ["a"]]
        cleaned, bad = plan.clean(range(1, len(rows) + 1), rows)
        assert len(cleaned) + len(bad) == len(rows), "a row is neither clean nor rejected"
        assert {row[0] for row in cleaned} == {i + 1 for i in range(len(rows)) if i not in bad}
    _check_columns(schema)


def _check_columns(schema: Schema) -> None:
    for column in schema.columns:
        bad: dict[int, str] = {}
        assert len(column.clean(list(VALUES), bad)) == len(VALUES)
        again: dict[int, str] = {}
        column.clean_json([None, True, 1.5, NumberText("1e2"), [], ["a"], [1], {}, {"a": None}, *VALUES], again)
        for reason in (*bad.values(), *again.values()):
            assert "aaaaaaaa" not in reason
            assert "zz" not in reason.removeprefix(column.name)
        if column.type == "N" and not bad:
            assert all(value is None or canonical_number(str(value)) == value for value in column.clean(["1"], {}))
