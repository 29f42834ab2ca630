"""Invalid schema files are refused with file, key and reason."""

import re

import pytest

from engine.errors import MillpondError, SchemaError
from engine.schema.parse import parse_schema

GOOD = """version = 1
collection = "things"
[key]
partition = "id"
[columns.id]
required = true
[columns.other]
[generated]
at = "version"
"""

# What to replace in the valid file, by what, and the key and reason of the error.
WRONG = [
    ("version = 1", "version = ", "(file)", "is not valid TOML: "),
    ("version = 1", "version = 1\nversion = 1", "(file)", "is not valid TOML: "),
    ("version = 1", "version = " + "1" * 5_000, "(file)", "is not valid TOML: "),
    ("version = 1", "", "version", "must be 1, not None"),
    ("version = 1", "version = 2", "version", "must be 1, not 2"),
    ("version = 1", 'version = "1"', "version", "must be 1, not '1'"),
    ("version = 1", "version = 1\ntabel = 5", "tabel", "is not known; known here: collection, columns,"),
    ('collection = "things"', "", "collection", "is missing"),
    ('"things"', "5", "collection", "must be a text, not 5"),
    ('"things"', '"ingestions"', "collection", "/ingestions is the path of the ledger: choose another name"),
    ('"things"', '""', "collection", "must be a text, not ''"),
    ('"things"', '"Things"', "collection", "must be lower-case letters, digits, - and _, not 'Things'"),
    ('"things"', '"a/b"', "collection", "must be lower-case letters"),
    ('"things"', f'"{"a" * 64}"', "collection", "must be lower-case letters"),
    ("[key]", 'unknown_columns = "drop"\n[key]', "unknown_columns", "must be one of ignore, store, fail, not 'drop'"),
    ("[key]", "unknown_columns = []\n[key]", "unknown_columns", "must be one of ignore, store, fail, not []"),
    ("[key]", 'conflict = "latest"\n[key]', "conflict", "must be one of replace, newest, not 'latest'"),
    ("[key]", "conflict = []\n[key]", "conflict", "must be one of replace, newest, not []"),
    (
        '[key]\npartition = "id"',
        'conflict = "newest"\n[key]\npartition = "id"\nsort = "at"',
        "conflict",
        '"newest" makes no sense with a version in the key',
    ),
    ('[key]\npartition = "id"', "", "key", "is missing"),
    ('[key]\npartition = "id"', 'key = "id"', "key", "must be a table"),
    ('partition = "id"', "", "key.partition", "is missing"),
    ('partition = "id"', "partition = 1", "key.partition", "must be a text, not 1"),
    ('partition = "id"', 'hash = "id"', "key.hash", "is not known; known here: partition, sort"),
    ('partition = "id"', 'partition = "id"\nsort = false', "key.sort", "must be a text, not False"),
    ('partition = "id"', 'partition = "id"\nsort = "id"', "key.sort", "must not be the partition key again"),
    ('partition = "id"', 'partition = "no"', "key.partition = 'no'", "is the attribute of no column and not generated"),
    ('partition = "id"', 'partition = "other"', "key.partition = 'other'", "the column 'other' must be required"),
    ('partition = "id"', 'partition = "id"\nsort = "other"', "key.sort = 'other'", "the column 'other' must be req"),
    ("required = true", 'required = true\ntype = "BOOL"', "key.partition = 'id'", "a key must be of type S or N"),
    ("[columns.id]\nrequired = true\n[columns.other]", "columns = 1", "key.columns", "is not known"),
    ("[columns.id]\nrequired = true\n[columns.other]", "[columns]", "columns", "must name at least one column"),
    ("[columns.id]\nrequired = true\n[columns.other]", "", "columns", "is missing"),
    ("[columns.other]", "[columns]\nother = 5", "columns.other", "must be a table of settings"),
    ("[columns.other]", "[columns.other]\nTrim = true", "columns.other.Trim", "is not known; known here: aliases,"),
    ("[columns.other]", '[columns." other"]', "columns. other", "a column's name must not be empty or have blanks"),
    ("[columns.other]", '[columns.""]', "columns.", "a column's name must not be empty or have blanks"),
    (
        "[columns.other]",
        "[columns.other]\nattribute = 1",
        "columns.other.attribute",
        "must be a text of 1 to 255 bytes",
    ),
    ("[columns.other]", '[columns.other]\nattribute = ""', "columns.other.attribute", "must be a text of 1 to 255 b"),
    (
        "[columns.other]",
        f'[columns.other]\nattribute = "{"é" * 128}"',
        "columns.other.attribute",
        "must be a text of 1 to 255 bytes",
    ),
    ("[columns.other]", '[columns.other]\naliases = "x"', "columns.other.aliases", "must be a list of names, not 'x'"),
    ("[columns.other]", "[columns.other]\naliases = [1]", "columns.other.aliases", "must be a list of names, not [1]"),
    ("[columns.other]", '[columns.other]\naliases = [" "]', "columns.other.aliases", "must be a list of names"),
    ("[columns.other]", '[columns.other]\naliases = [" ID"]', "columns.other", "'id' already names 'id'"),
    ("[columns.other]", '[columns.Id]\nattribute = "x"', "columns.Id", "'id' already names 'id'"),
    ("[columns.other]", '[columns.other]\nattribute = "at"', "columns.other", "the attribute 'at' is already taken"),
    ("[columns.other]", "[columns.other]\ntrim = 1", "columns.other.trim", "must be true or false, not 1"),
    ("[columns.other]", '[columns.other]\nlower = "y"', "columns.other.lower", "must be true or false, not 'y'"),
    ("required = true", "required = 1", "columns.id.required", "must be true or false, not 1"),
    ("[columns.other]", '[columns.other]\ntype = "s"', "columns.other.type", "must be S, N, BOOL, date, datetime, "),
    ("[columns.other]", "[columns.other]\ntype = []", "columns.other.type", "must be S, N, BOOL, date, datetime, "),
    ("[columns.other]", '[columns.other]\ntype = "N"\nlower = true', "columns.other.lower", "makes sense for type S"),
    (
        "[columns.other]",
        "[columns.other]\nmax_length = 0",
        "columns.other.max_length",
        "must be a whole number above 0",
    ),
    ("[columns.other]", "[columns.other]\nmax_length = true", "columns.other.max_length", "must be a whole number"),
    ("[columns.other]", "[columns.other]\nmax_length = 1.5", "columns.other.max_length", "must be a whole number"),
    ("[columns.other]", "[columns.other]\npattern = 1", "columns.other.pattern", "must be a text, not 1"),
    ("[columns.other]", '[columns.other]\npattern = "("', "columns.other.pattern", "'(' is not a valid regular expr"),
    (
        "[columns.other]",
        '[columns.other]\npattern = "a{1001}"',
        "columns.other.pattern",
        "'a{1001}' is not a valid reg",
    ),
    ("required = true", 'required = true\ndefault = "x"', "columns.id.default", "a required column cannot have a def"),
    ("[columns.other]", "[columns.other]\ndefault = 1", "columns.other.default", "must be a text that is not empty"),
    ("[columns.other]", '[columns.other]\ndefault = ""', "columns.other.default", "must be a text that is not empty"),
    (
        "[columns.other]",
        '[columns.other]\ntype = "N"\ndefault = 1.5',
        "columns.other.default",
        "must be a whole number",
    ),
    ("[columns.other]", '[columns.other]\ntype = "N"\ndefault = true', "columns.other.default", "must be a whole num"),
    ("[columns.other]", '[columns.other]\ntype = "N"\ndefault = "x"', "columns.other.default", "must be a whole numb"),
    ("[columns.other]", '[columns.other]\ntype = "BOOL"\ndefault = 1', "columns.other.default", "must be true or fal"),
    ("[key]", 'null_values = "NA"\n[key]', "null_values", "must be a list of texts, not 'NA'"),
    ("[key]", 'null_values = [""]\n[key]', "null_values", "must be a list of texts, not ['']"),
    ("[key]", 'empty = "skip"\n[key]', "empty", "must be one of omit, null, text, not 'skip'"),
    ("[key]", 'conflict = "oldest"\n[key]', "conflict", "must be one of replace, newest, not 'oldest'"),
    ("[columns.other]", "[columns.other]\nnull_values = 1", "columns.other.null_values", "must be a list of texts"),
    ("required = true", 'required = true\nempty = "null"', "columns.id.empty", "has no effect: the column is required"),
    ("[columns.other]", '[columns.other]\ndefault = "x"\nempty = "null"', "columns.other.empty", "has no effect"),
    ("[columns.other]", '[columns.other]\nempty = "no"', "columns.other.empty", "must be omit, null or text, not 'no'"),
    ("[columns.other]", '[columns.other]\ntype = "N"\nempty = "text"', "columns.other.empty", "can be text for type S"),
    ("[columns.other]", "[columns.other]\nplace = 0", "columns.other.place", "must be a whole number above 0, not 0"),
    ("[columns.other]", '[columns.other]\npath = ""', "columns.other.path", "must be names with points in between"),
    ("[columns.other]", '[columns.other]\npath = "a..b"', "columns.other.path", "must be names with points in betw"),
    ("[columns.other]", "[columns.other]\npath = []", "columns.other.path", "must be names with points in between"),
    ("[columns.other]", '[columns.other]\nthousands = "."', "columns.other.thousands", "is not known; known here: al"),
    ("[columns.other]", '[columns.other]\ntype = "N"\nthousands = ".."', "columns.other.thousands", "must be one char"),
    ("[columns.other]", '[columns.other]\ntype = "N"\nthousands = "."', "columns.other.thousands", "must differ from"),
    ("[columns.other]", '[columns.other]\ntype = "N"\ndecimal = "1"', "columns.other.decimal", "must not be a charac"),
    ("[columns.other]", '[columns.other]\ntype = "N"\ndecimal = "-"', "columns.other.decimal", "must not be a charac"),
    ("[columns.other]", '[columns.other]\ntype = "N"\ndecimal = " "', "columns.other.decimal", "must not be a blank"),
    ("[columns.other]", '[columns.other]\ntype = "N"\ncurrency = "€"', "columns.other.currency", "must be a list of"),
    (
        "[columns.other]",
        '[columns.other]\ntype = "N"\ncurrency = ["-"]',
        "columns.other.currency",
        "must not be a mark",
    ),
    ("[columns.other]", '[columns.other]\ntype = "set"\nitems = "B"', "columns.other.items", "must be S or N, not 'B'"),
    ("[columns.other]", '[columns.other]\ntype = "list"\npattern = "a"', "columns.other.pattern", "makes no sense for"),
    (
        "[columns.other]",
        '[columns.other]\ntype = "set"\ndefault = []',
        "columns.other.default",
        "must be a list that i",
    ),
    ("[columns.other]", '[columns.other]\ntype = "json"\ndefault = nan', "columns.other.default", "must be a value th"),
    (
        "[columns.other]",
        '[columns.other]\ntype = "binary"\ndefault = "!"',
        "columns.other.default",
        "must be a text in",
    ),
    (
        "[columns.other]",
        '[columns.other]\ntype = "binary"\nencoding = "x"',
        "columns.other.encoding",
        "must be base64 or",
    ),
    ("required = true", 'required = true\ntype = "json"', "key.partition = 'id'", "a key must be of type S or N"),
    ("required = true", 'required = true\ntype = "binary"', "key.partition = 'id'", "a key must be of type S or N"),
    ("[generated]", "[computed]\nother = 5\n[generated]", "computed.other", "must be a text, not 5"),
    ("[generated]", '[computed]\nother = "{id}"\n[generated]', "computed.other", "the attribute 'other' is already"),
    ("[generated]", '[computed]\nat = "{id}"\n[generated]', "computed.at", "the attribute 'at' is already taken"),
    ("[generated]", '[computed]\n"" = "{id}"\n[generated]', "computed.", "an attribute's name must have 1 to 255"),
    ("[generated]", '[constants]\nid = "x"\n[generated]', "constants.id", "the attribute 'id' is already taken"),
    ("[generated]", "[constants]\nx = []\n[generated]", "constants.x", "must be a text of at most 1,024 bytes, a num"),
    ("[generated]", "[constants]\nx = inf\n[generated]", "constants.x", "must be a text of at most 1,024 bytes, a num"),
    ("[generated]", f'[constants]\nx = "{"é" * 513}"\n[generated]', "constants.x", "must be a text of at most 1,024"),
    ('[generated]\nat = "version"', "generated = 5", "columns.other.generated", "is not known"),
    ('at = "version"', 'at = "now"', "generated.at", "must be one of version, row_number, modified, "),
    ('at = "version"', "at = []", "generated.at", "must be one of version, row_number, modified, "),
    ('at = "version"', '"" = "version"', "generated", "an attribute's name must not be empty"),
    ('at = "version"', 'id = "version"', "columns.id", "the attribute 'id' is already taken"),
]


@pytest.mark.parametrize(("part", "instead", "key", "reason"), WRONG)
def test_invalid_schema_is_refused_with_file_key_and_reason(part: str, instead: str, key: str, reason: str) -> None:
    assert GOOD.count(part) == 1
    with pytest.raises(SchemaError) as caught:
        parse_schema(GOOD.replace(part, instead), "dir/things.toml")
    error = caught.value
    assert (error.source, error.key) == ("dir/things.toml", key)
    assert error.reason.startswith(reason)
    assert str(error) == f"schema dir/things.toml: {key}: {error.reason}"
    assert isinstance(error, MillpondError)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("toml", "key"),
    [("key = 1", "key"), ("generated = 1", "generated"), ("columns = 1", "columns"), ("columns.id = 1", "columns.id")],
)
def test_value_that_must_be_a_table(toml: str, key: str) -> None:
    rest = {"key": "key.partition = 'id'", "generated": "", "columns": "columns.id.required = true"}
    document = [toml, *(line for name, line in rest.items() if not toml.startswith(name))]
    with pytest.raises(SchemaError, match=rf"^schema s: {re.escape(key)}: must be a table"):
        parse_schema("\n".join(["version = 1", "collection = 'things'", *document]), "s")


@pytest.mark.parametrize("kind", ["processed_at", "expires_at", "source"])
@pytest.mark.parametrize("place", ["partition", "sort"])
def test_optional_or_changing_attribute_cannot_be_a_key(kind: str, place: str) -> None:
    key = {"partition": 'partition = "at"', "sort": 'partition = "id"\nsort = "at"'}[place]
    toml = GOOD.replace('partition = "id"', key).replace('"version"', f'"{kind}"')
    with pytest.raises(SchemaError, match=f"key.{place} = 'at': must be the same each time and always there"):
        parse_schema(toml, "s")


def test_newest_needs_a_version_to_compare() -> None:
    newest = GOOD.replace("[key]", 'conflict = "newest"\n[key]')
    with pytest.raises(SchemaError, match='conflict: "newest" needs a generated attribute of the kind "version"'):
        parse_schema(newest.replace('"version"', '"modified"'), "x.toml")
    assert parse_schema(newest, "x.toml").conflict == "newest"
    assert parse_schema(GOOD, "x.toml").conflict == "replace"


@pytest.mark.parametrize(
    ("constants", "reason"),
    [
        ('pk = ""', "a key must be of type S or N"),
        ("pk = true", "a key must be of type S or N"),
        ('pk = "x"', "is a constant: all rows would be one item"),
    ],
)
def test_constant_that_cannot_be_a_key(constants: str, reason: str) -> None:
    with pytest.raises(SchemaError, match=f"key.*: {reason}"):
        parse_schema(GOOD.replace('partition = "id"', 'partition = "pk"') + f"[constants]\n{constants}", "s")


def test_unmodified_schema_is_valid() -> None:
    assert parse_schema(GOOD, "s").keys == ("id",)
