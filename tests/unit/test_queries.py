"""HTTP requests -> what to read, and items -> JSON: routes, limits and tokens."""

import base64
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.http_events import read_request
from engine.identity import split_version
from engine.queries import History, Latest, Listing, Options, encode_cursor, key_of, parse_request, to_json
from engine.schema.model import Schema
from tests.builders.samples import PRODUCTS, USERS, schema_of, version_of
from tests.builders.texts import texts

NUMBERED = schema_of(
    '[key]\npartition = "id"\nsort = "s"\n[columns.id]\ntype = "N"\nrequired = true\n[columns.s]\nrequired = true'
)
VERSIONED = schema_of('[key]\npartition = "at"\n[columns.x]\n[generated]\nat = "version"')


Asked = Options | Latest | History | Listing


def parsed(event: dict[str, Any], schema: Schema = USERS) -> Asked:
    return parse_request(read_request(event), schema)


def get(path: str, schema: Schema = USERS, **parameters: str) -> Asked:
    return parsed({"httpMethod": "GET", "path": path, "queryStringParameters": parameters or None}, schema)


def refused(event: dict[str, Any], schema: Schema = USERS) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parsed(event, schema)
    return caught.value


def user_key(email: str, version: str = "1.000000000001") -> dict[str, Any]:
    return {"email": {"S": email}, "createdAt": {"N": version}}


@pytest.mark.parametrize("path", ["/users", "/users/x", "/users/x/history"])
def test_slash_at_the_end_of_a_path_changes_nothing(path: str) -> None:
    assert get(path + "/") == get(path)


@pytest.mark.parametrize(
    ("path", "partition"),
    [
        ("/users/john@gmail.com", "john@gmail.com"),
        ("/users/John%40GMAIL.com/", "john@gmail.com"),
        ("/users/%20John+Tag%40gmail.com", "john+tag@gmail.com"),
        ("/users/a%2Fb@x", "a/b@x"),
        ("/users/%C3%84@x", "ä@x"),
        ("users/x", "x"),
        ("/users/history", "history"),
    ],
)
def test_user_is_found_in_any_case_and_encoding(path: str, partition: str) -> None:
    assert get(path) == Latest(partition)
    assert get(path.rstrip("/") + "/history") == History(partition, 10, None)


@pytest.mark.parametrize(
    ("resource", "parameters", "expected"),
    [
        ("/users", None, Listing(10, None, False)),
        ("/users/{email}", {"email": "John%40x.com"}, Latest("john@x.com")),
        ("/users/{key}", {"key": "a/b+c@x"}, Latest("a/b+c@x")),
        ("/users/{email}/history", {"email": "J@x"}, History("j@x", 10, None)),
        ("/{proxy+}", {"proxy": "users/J%2F@x"}, Latest("j/@x")),
    ],
)
def test_route_of_api_gateway_takes_precedence(
    resource: str, parameters: dict[str, str] | None, expected: Asked
) -> None:
    path = resource
    for name, value in (parameters or {}).items():
        path = path.replace(f"{{{name}}}", value.replace("/", "%2F")).replace(f"{{{name}+}}", value)
    event = {"httpMethod": "GET", "path": "/base" + path, "resource": resource, "pathParameters": parameters}
    assert parsed(event) == expected


@given(texts(30, min_size=1))
def test_any_key_is_found_by_its_encoded_path(email: str) -> None:
    cleaned = email.strip().lower()
    path = "/users/" + "".join(f"%{byte:02X}" for byte in email.encode())
    if cleaned:
        assert get(path) == Latest(cleaned)
        assert get(path + "/history") == History(cleaned, 10, None)
    else:
        assert refused({"httpMethod": "GET", "path": path}).status == 400


@pytest.mark.parametrize("path", ["/", "", "/user", "/users/a/b", "/users/a/history/b", "/Users", "/prod/users"])
def test_unknown_route_is_404(path: str) -> None:
    error = refused({"httpMethod": "GET", "path": path})
    assert (error.status, str(error)) == (404, "no such route; there are /users and /users/{key}")
    assert refused({"httpMethod": "POST", "path": path}).status == 404


PATHS = ["/users", "/users/a", "/users/a/history"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get", "TRACE"])
@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_405_with_an_allow_header(method: str, path: str) -> None:
    error = refused({"httpMethod": method, "path": path})
    assert (error.status, error.allow) == (405, "GET, HEAD, OPTIONS")
    assert str(error) == f"{method} is not allowed here, only GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", PATHS)
def test_head_reads_the_same_as_get(path: str) -> None:
    assert parsed({"httpMethod": "HEAD", "path": path}) == get(path)


@pytest.mark.parametrize("path", PATHS)
def test_options_reads_nothing(path: str) -> None:
    assert parsed({"httpMethod": "OPTIONS", "path": path, "queryStringParameters": {"x": "y"}}) == Options()


def test_empty_event_is_400() -> None:
    assert refused({}).status == 400


@pytest.mark.parametrize(
    ("path", "parameters", "text"),
    [
        ("/users", {"Limit": "5"}, "unknown query parameter Limit: there are limit, startKey, nextToken"),
        (
            "/users",
            {"q": "", "p": "", "limit": "5"},
            "unknown query parameters p, q: there are limit, startKey, nextToken",
        ),
        ("/users/a/history", {"page": "2"}, "unknown query parameter page: there are limit, startKey, nextToken"),
        ("/users/a", {"limit": "5"}, "unknown query parameter limit: this route has none"),
    ],
)
def test_unknown_parameter_is_named(path: str, parameters: dict[str, str], text: str) -> None:
    error = refused({"httpMethod": "GET", "path": path, "queryStringParameters": parameters})
    assert (error.status, str(error)) == (400, text)


def test_parameters_of_a_signed_url_are_ignored() -> None:
    signed = {"X-Amz-Signature": "0", "X-Amz-Date": "20260404T000000Z", "x-amz-security-token": "0"}
    listing = {"httpMethod": "GET", "path": "/users", "queryStringParameters": {"limit": "5", **signed}}
    assert parsed(listing) == get("/users", limit="5")
    assert parsed({"httpMethod": "GET", "path": "/users/a", "queryStringParameters": signed}) == get("/users/a")


def test_parameter_has_one_value() -> None:
    event = {"httpMethod": "GET", "path": "/users"}
    assert parsed({**event, "multiValueQueryStringParameters": {"limit": ["5", "5"]}}) == get("/users", limit="5")
    error = refused({**event, "multiValueQueryStringParameters": {"limit": ["5", "6"]}})
    assert (error.status, str(error)) == (400, "limit is given twice, with different values")


@pytest.mark.parametrize("path", ["/users", "/users/a/history"])
def test_token_is_accepted_under_both_names(path: str) -> None:
    token = encode_cursor(user_key("a"))
    expected = get(path, startKey=token)
    assert expected != get(path)
    assert get(path, nextToken=token) == expected
    assert get(path, nextToken=token, startKey=token) == expected
    other = {"nextToken": token, "startKey": encode_cursor(user_key("a", "2.000000000001"))}
    error = refused({"httpMethod": "GET", "path": path, "queryStringParameters": other})
    assert (error.status, str(error)) == (
        400,
        "startKey and nextToken are names of the same parameter: give one of them",
    )


@pytest.mark.parametrize(("limit", "number"), [("1", 1), ("10", 10), ("1000", 1000), ("0007", 7)])
def test_valid_limit(limit: str, number: int) -> None:
    assert get("/users", limit=limit) == Listing(number, None, False)
    assert get("/users/a/history", limit=limit) == History("a", number, None)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "", " 5", "1e2", "5.0", "٣", "99999999999"])
@pytest.mark.parametrize("path", ["/users", "/users/a/history"])
def test_bad_limit_is_400(limit: str, path: str) -> None:
    error = refused({"httpMethod": "GET", "path": path, "queryStringParameters": {"limit": limit}})
    assert (error.status, str(error)) == (400, "limit must be a whole number from 1 to 1000")


@pytest.mark.parametrize(
    ("path", "schema", "text"),
    [
        ("/users//history", USERS, "not a valid email: mail is required, but empty"),
        ("/users/%20", USERS, "not a valid email: mail is required, but empty"),
        ("/users/" + "x" * 2_049, USERS, "not a valid email: mail is longer than 2,048 bytes, the limit for a key"),
        ("/products/a-1", PRODUCTS, "not a valid sku: Article No does not match the pattern"),
        ("/things/one", NUMBERED, "not a valid id: id is not a number that DynamoDB can hold"),
        ("/things/now", VERSIONED, "not a valid at: at is not a number that DynamoDB can hold"),
    ],
)
def test_invalid_key_is_400(path: str, schema: Schema, text: str) -> None:
    error = refused({"httpMethod": "GET", "path": path}, schema)
    assert (error.status, str(error)) == (400, text)


def test_keys_are_cleaned_as_their_columns_are() -> None:
    assert get("/products/%20A-1%20", PRODUCTS) == Latest("A-1")
    assert get("/things/1.50", NUMBERED) == Latest("1.5")
    assert get("/things/1775260800.000000000010", VERSIONED) == Latest("1775260800.00000000001")


@given(texts(30, min_size=1).filter(str.strip), st.integers(0, 10**11), st.integers(0, 10**12 - 1), st.booleans())
def test_token_round_trip(email: str, seconds: int, row: int, skip: bool) -> None:
    key = user_key(email.strip().lower(), version_of(seconds, row))
    token = encode_cursor(key, skip=skip)
    assert token.isascii()
    assert not set(token) & set("+/=&?# ")
    assert get("/users", startKey=token) == Listing(10, key, skip)
    path = "/users/" + "".join(f"%{byte:02X}" for byte in email.encode())
    assert get(path + "/history", startKey=token) == History(email.strip().lower(), 10, key)


def test_token_of_another_user_is_400() -> None:
    event = {"httpMethod": "GET", "path": "/users/a/history"}
    error = refused({**event, "queryStringParameters": {"startKey": encode_cursor(user_key("b"))}})
    assert (error.status, str(error)) == (400, "startKey belongs to another email")


def test_token_with_the_same_number_in_another_form_is_accepted() -> None:
    token = encode_cursor({"id": {"N": "150E-2"}, "s": {"S": "x"}})
    assert isinstance(get("/things/1.5/history", NUMBERED, startKey=token), History)


def token_of(content: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


KEY = {"email": "a", "createdAt": "1"}
NO_TOKENS = ["", "x", "äöü", "====", "!!!!", "W10", "a b", "W1tdLGZhbHNlXQ==\n", "//4="]
FORGED = [
    [KEY],
    [KEY, True, 1],
    [KEY, 1],
    [KEY, None],
    KEY,
    "ab",
    5,
    None,
    [["email", "createdAt"], False],
    [[["email"]], False],
    ["email", False],
    [None, False],
    [{}, False],
    [{"email": "a"}, False],
    [{**KEY, "x": "1"}, False],
    [{**KEY, "email": 5}, False],
    [{**KEY, "email": ""}, False],
    [{**KEY, "email": None}, False],
    [{**KEY, "email": {"S": "a"}}, False],
    [{**KEY, "email": "x" * 2_049}, False],
    [{**KEY, "createdAt": 1}, False],
    [{**KEY, "createdAt": "now"}, False],
    [{**KEY, "createdAt": "1E999"}, False],
]


@pytest.mark.parametrize(
    "token",
    [*NO_TOKENS, *map(token_of, FORGED), encode_cursor(user_key("a"))[:-3], encode_cursor(user_key("a")) + "!!!!"],
)
@pytest.mark.parametrize("path", ["/users", "/users/a/history"])
@pytest.mark.parametrize("name", ["startKey", "nextToken"])
def test_forged_token_is_400(token: str, path: str, name: str) -> None:
    error = refused({"httpMethod": "GET", "path": path, "queryStringParameters": {name: token}})
    assert error.status == 400
    assert str(error) == "startKey is not a token of this API; use the nextToken of the page before"


@settings(max_examples=60)
@given(st.text(max_size=20) | st.binary(max_size=40).map(lambda b: base64.urlsafe_b64encode(b).decode()))
def test_any_token_is_at_most_a_400(token: str) -> None:
    with suppress(BadRequest):
        assert get("/users", startKey=token) != get("/users")


@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1), st.sampled_from(["", "0f", "some ingestion"]))
def test_version_is_split_exactly(seconds: int, row: int, ingestion: str) -> None:
    number = version_of(seconds, row, ingestion)
    trimmed = number.rstrip("0").rstrip(".")  # as DynamoDB gives it back
    for text in (number, trimmed, f"{Decimal(number).normalize()}", f"{Decimal(number):E}"):
        assert split_version(text) == (seconds, row)


def test_item_as_the_api_shows_it() -> None:
    item = {
        "name": {"S": "Jo"},
        "email": {"S": "j@x"},
        "createdAt": {"N": "1775260800.00000000001"},
        "expirationTime": {"N": "1777852800"},
    }
    shown = orjson.dumps(to_json(item, USERS)).decode()
    assert shown == '{"name":"Jo","email":"j@x","createdAt":1775260800,"rowNumber":10,"expirationTime":1777852800}'


def test_all_dynamodb_types_are_shown_and_numbers_keep_their_digits() -> None:
    long = "12345678901234567890123456789012345678"
    item: dict[str, dict[str, Any]] = {
        "N": {"N": long},
        "small": {"N": "0." + "0" * 40 + "1"},
        "NS": {"NS": ["1", long]},
        "BOOL": {"BOOL": False},
        "NULL": {"NULL": True},
        "L": {"L": [{"N": long}, {"S": "x"}]},
        "M": {"M": {"a": {"BOOL": True}, "b": {"L": []}}},
        "SS": {"SS": ["a", "b"]},
        "B": {"B": "AP8="},
        "BS": {"BS": ["YQ=="]},
    }
    shown = json.loads(orjson.dumps(to_json(item, PRODUCTS)), parse_float=str)
    assert shown == {
        "N": int(long),
        "small": "1E-41",
        "NS": [1, int(long)],
        "BOOL": False,
        "NULL": None,
        "L": [int(long), "x"],
        "M": {"a": True, "b": []},
        "SS": ["a", "b"],
        "B": "AP8=",
        "BS": ["YQ=="],
    }


def test_key_of_an_item() -> None:
    assert key_of({**user_key("a"), "name": {"S": "x"}}, USERS) == user_key("a")
    assert key_of({"sku": {"S": "A"}, "price": {"N": "1"}}, PRODUCTS) == {"sku": {"S": "A"}}


def shown(item: dict[str, Any], schema: Schema = USERS) -> str:
    return orjson.dumps(to_json(item, schema)).decode()


@pytest.mark.parametrize(
    "number",
    [
        "100000000000000000000",
        "1" + "0" * 125,
        "1E+20",
        "-1",
        "-1775260800.000000000001",
        "1775260800123",
        "1775260800.123",
        "1775260800.0000000000010000000000001",
        "0." + "3" * 38,
        "1E-130",
        "9.9999999999999999999999999999999999999E+125",
    ],
)
def test_version_written_by_another_program_is_shown_unchanged(number: str) -> None:
    item = {"email": {"S": "j@x"}, "createdAt": {"N": number}}
    found = json.loads(shown(item), parse_float=Decimal, parse_int=Decimal)
    assert found == {"email": "j@x", "createdAt": Decimal(number)}


def test_version_attribute_of_another_type_is_shown_unchanged() -> None:
    schema = schema_of('[key]\npartition = "id"\n[columns.id]\nrequired = true\n[generated]\nat = "version"')
    assert shown({"id": {"S": "a"}, "at": {"S": "yesterday"}}, schema) == '{"id":"a","at":"yesterday"}'
    assert shown({"id": {"S": "a"}, "at": {"NULL": True}}, schema) == '{"id":"a","at":null}'


def test_stored_row_number_is_kept_in_any_attribute_order() -> None:
    own, version = {"rowNumber": {"S": "its own"}}, {"createdAt": {"N": "1775260800.00000000001"}}
    for item in ({**own, **version}, {**version, **own}):
        assert to_json(item, USERS) == {"createdAt": 1_775_260_800, "rowNumber": "its own"}
    assert to_json(version, USERS) == {"createdAt": 1_775_260_800, "rowNumber": 10}


# What DynamoDB holds: 38 digits, from 1E-130 to 9.99…E+125.
NUMBERS = st.builds(
    lambda digits, places, negative: Decimal((negative, tuple(map(int, digits)), max(places, -130))),
    st.from_regex(r"[1-9][0-9]{0,37}", fullmatch=True),
    st.integers(-130, 88),
    st.integers(0, 1),
)


@given(NUMBERS)
def test_numbers_keep_their_value_and_are_never_long(number: Decimal) -> None:
    text = json.loads(shown({"n": {"N": f"{number:f}"}}), parse_float=str, parse_int=str)["n"]
    assert Decimal(text) == number
    assert len(text) <= 45


VERSIONS = st.builds(
    lambda *of: Decimal(version_of(*of)),
    st.integers(0, 10**10),
    st.integers(0, 10**9),
    st.sampled_from(["", "an ingestion"]),
)


@given(NUMBERS | VERSIONS)
def test_any_version_attribute_is_shown(number: Decimal) -> None:
    found = json.loads(shown({"createdAt": {"N": f"{number:f}"}}), parse_float=Decimal)
    assert set(found) <= {"createdAt", "rowNumber"}
    assert found["createdAt"] == (int(number) if "rowNumber" in found else number)


@given(VERSIONS)
def test_every_version_has_its_row_number(number: Decimal) -> None:
    assert "rowNumber" in to_json({"createdAt": {"N": f"{number:f}"}}, USERS)


COMPUTED = schema_of('[key]\npartition = "pk"\n[columns.id]\nlower = true\n[computed]\npk = "ORDER#{id}"')
DATE = '[key]\npartition = "d"\n[columns.d]\nrequired = true\ntype = "date"\ninput = ["%d.%m.%Y"]\n'
DATED, EPOCH = schema_of(DATE), schema_of(f'{DATE}output = "epoch"')
GERMAN = schema_of('[key]\npartition = "n"\n[columns.n]\nrequired = true\ntype = "N"\nthousands = "."\ndecimal = ","')


@pytest.mark.parametrize(
    ("schema", "text", "key"),
    [
        (COMPUTED, "ORDER%23A", "ORDER#A"),
        (DATED, "2024-01-31", "2024-01-31"),
        (EPOCH, "1706659200", "1706659200"),
        (EPOCH, "1706659200.0", "1706659200"),
        (GERMAN, "1.250", "1.25"),
    ],
)
def test_converted_key_is_given_as_it_is_stored(schema: Schema, text: str, key: str) -> None:
    assert get(f"/things/{text}", schema) == Latest(key)


@pytest.mark.parametrize(
    ("schema", "text", "reason"),
    [
        (COMPUTED, "x" * 2_049, "pk is longer than 2,048 bytes"),
        (EPOCH, "31.01.2024", "d is not a number"),
        (GERMAN, "1.250,5", "n is not a number"),
    ],
)
def test_converted_key_in_another_form_is_400(schema: Schema, text: str, reason: str) -> None:
    error = refused({"httpMethod": "GET", "path": f"/things/{text}"}, schema)
    assert (error.status, reason in str(error)) == (400, True)
