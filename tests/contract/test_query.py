"""The query function over a real table: what each request answers, and how it fails."""

import json
import time
from typing import Any

import pytest

from engine.handlers import query
from engine.queries import SCHEMA_EVENT
from tests.builders.http_events import FRONT_ENDS, rest
from tests.builders.invocations import Context, Json, api_event, encoded
from tests.builders.samples import PRODUCTS_TOML
from tests.contract.clouds import Cloud

pytestmark = pytest.mark.uses("dynamodb")


def get(path: str, method: str = "GET", **parameters: str) -> tuple[int, Json]:
    """Call the handler as API Gateway does; the headers are checked."""
    answer = query.handler(api_event(path, method, **parameters), Context(request_id="request-7"))
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    assert answer["isBase64Encoded"] is False
    body: Json = json.loads(answer["body"])
    return answer["statusCode"], body


def version(email: str, row: int, modified: int = 1_775_260_800, **more: Any) -> Json:
    return {
        "email": {"S": email},
        "createdAt": {"N": f"{modified}.{row:012d}"},
        "name": {"S": f"version {row}"},
        "phone": {"S": "N/A"},
        **more,
    }


def test_command_line_is_told_the_schema(env: pytest.MonkeyPatch) -> None:
    env.setenv("SCHEMA", str(PRODUCTS_TOML))
    assert query.handler(dict(SCHEMA_EVENT), Context()) == {"schema": PRODUCTS_TOML.read_text()}
    # Nothing that comes by HTTP is that event, whatever its body is.
    event = {**api_event("/products"), **SCHEMA_EVENT, "body": json.dumps(SCHEMA_EVENT)}
    assert "schema" not in query.handler(event, Context())


@pytest.fixture
def table(cloud: Cloud, env: pytest.MonkeyPatch) -> str:
    name = cloud.table()
    env.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    env.setenv("TABLE_NAME", name)
    return name


def put(cloud: Cloud, table: str, *items: Json) -> None:
    for item in items:
        cloud.dynamodb.put_item(TableName=table, Item=item)


def test_latest_version_is_returned(cloud: Cloud, table: str) -> None:
    put(cloud, table, *(version("john@gmail.com", row) for row in (2, 10, 1)), version("other@gmail.com", 99))
    assert get("/users/john@gmail.com") == (
        200,
        {"email": "john@gmail.com", "createdAt": 1775260800, "rowNumber": 10, "name": "version 10", "phone": "N/A"},
    )


def test_later_upload_wins_whatever_the_row_number(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("a@x.org", 900_000), version("a@x.org", 1, modified=1_775_260_801))
    assert get("/users/a@x.org")[1]["createdAt"] == 1_775_260_801


def test_numbers_keep_all_digits(cloud: Cloud, table: str) -> None:
    digits = "12345678901234567890123456789012345678"
    put(cloud, table, version("a@x.org", 1, score={"N": digits}, vip={"BOOL": True}, note={"NULL": True}))
    answer = query.handler(api_event("/users/a@x.org"), Context())
    assert f'"score":{digits}' in answer["body"]
    assert json.loads(answer["body"])["vip"] is True
    assert json.loads(answer["body"])["note"] is None


def test_address_is_found_in_any_spelling(cloud: Cloud, table: str) -> None:
    ways = {
        "john@gmail.com": ["john@gmail.com", "JOHN@Gmail.COM", encoded("john@gmail.com"), "%20john@gmail.com%20"],
        "john+tag@gmail.com": ["john+tag@gmail.com", encoded("john+tag@gmail.com")],
        "größe@exämple.com": [encoded("Größe@EXÄMPLE.com")],
        "a/b@x.org": [encoded("a/b@x.org")],
        "100%@x.org": [encoded("100%@x.org")],
    }
    for stored, written in ways.items():
        put(cloud, table, version(stored, 1))
        for way in written:
            status, body = get(f"/users/{way}")
            assert (way, status, body.get("email")) == (way, 200, stored)


def test_unknown_user_is_404(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("nobody@x.org.uk", 1))
    for path in ("/users/nobody@x.org", "/users/nobody@x.org/history"):
        assert get(path) == (404, {"error": "no such email"})


def test_invalid_request_is_400_with_reason(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("a@x.org", 1))
    for path in ("/", "/people", "/users/a@x.org/other", "/users/a@x.org/history/more"):
        assert get(path) == (404, {"error": "no such route; there are /users and /users/{key}"})
    assert get("/users/%20")[0] == 400
    for path in ("/users", "/users/a@x.org/history"):
        for limit in ("0", "-1", "1001", "ten", "1.5", "", " 1", "\uff11"):
            assert get(path, limit=limit) == (400, {"error": "limit must be a whole number from 1 to 1000"})
        for token in ("", "x", "bm9wZQ", "W10", "WzEsMl0", "!!!", "W3siZW1haWwiOiJhIn0sZmFsc2Vd", "é"):
            status, body = get(path, startKey=token)
            assert (status, list(body), "nextToken" in body["error"]) == (400, ["error"], True)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = query.handler(api_event("/users", method), Context())
        assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert json.loads(answer["body"]) == {"error": f"{method} is not allowed here, only GET, HEAD, OPTIONS"}


def test_missing_table_is_500_without_details(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("TABLE_NAME", "no-such-table")
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history"):
        assert get(path) == (500, {"error": "internal error", "requestId": "request-7"})


def test_wrong_setting_is_500_without_details(
    cloud: Cloud, table: str, env: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env.setenv("SCHEMA", "/no/such/file.toml")
    assert get("/users") == (500, {"error": "internal error", "requestId": "request-7"})
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "millpond"]
    assert line["requestId"] == "request-7"
    assert "SCHEMA" in line["reason"]
    env.delenv("SCHEMA")
    assert get("/users")[0] == 200


def test_history_is_newest_first_in_pages(cloud: Cloud, table: str) -> None:
    put(cloud, table, *(version("a@x.org", row) for row in range(1, 26)), version("b@x.org", 1))
    rows: list[int] = []
    sizes: list[int] = []
    token: str | None = None
    while True:
        status, page = get("/users/A@X.org/history", limit="10", **({"startKey": token} if token else {}))
        assert status == 200
        assert page["count"] == len(page["items"])
        sizes.append(page["count"])
        rows += [item["rowNumber"] for item in page["items"]]
        token = page["nextToken"]
        if token is None:
            break
    assert rows == list(range(25, 0, -1))
    assert sizes == [10, 10, 5]


def test_history_token_is_valid_for_its_user_only(cloud: Cloud, table: str) -> None:
    put(cloud, table, *(version("a@x.org", row) for row in range(3)), *(version("b@x.org", row) for row in range(3)))
    token = get("/users/a@x.org/history", limit="1")[1]["nextToken"]
    assert get("/users/b@x.org/history", startKey=token) == (400, {"error": "startKey belongs to another email"})


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
def test_last_history_page_has_no_token(cloud: Cloud, table: str, limit: int) -> None:
    put(cloud, table, *(version("a@x.org", row) for row in range(1, limit + 1)))
    status, page = get("/users/a@x.org/history", limit=str(limit))
    assert (status, page["count"], page["nextToken"]) == (200, limit, None)
    put(cloud, table, version("a@x.org", limit + 1))
    page = get("/users/a@x.org/history", limit=str(limit))[1]
    assert page["nextToken"] is not None
    rest_of_it = get("/users/a@x.org/history", limit=str(limit), startKey=page["nextToken"])[1]
    assert ([item["rowNumber"] for item in rest_of_it["items"]], rest_of_it["nextToken"]) == ([1], None)


def test_token_is_accepted_under_both_names(cloud: Cloud, table: str) -> None:
    put(cloud, table, *(version(f"user{number}@x.org", row) for number in range(3) for row in range(3)))
    for path in ("/users", "/users/user1@x.org/history"):
        first = get(path, limit="1")[1]
        token = first["nextToken"]
        second = get(path, limit="1", nextToken=token)
        assert second[1]["items"] != first["items"]
        assert get(path, limit="1", startKey=token) == second
        status, body = get(path, startKey=token, nextToken=second[1]["nextToken"])
        assert (status, "startKey and nextToken" in body["error"]) == (400, True)


def test_unknown_parameter_is_400_that_names_it(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("a@x.org", 1))
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history"):
        status, body = get(path, cursor="1")
        assert (status, "cursor" in body["error"]) == (400, True)


@pytest.mark.parametrize(
    "number", ["100000000000000000000", "-1", "1775260800123", "0.1234567890123456789012345678", "1E-130", "1E+125"]
)
def test_foreign_item_is_returned_unchanged(cloud: Cloud, table: str, number: str) -> None:
    put(cloud, table, version("a@x.org", 1), {"email": {"S": "foreign@x.org"}, "createdAt": {"N": number}})
    status, page = get("/users")
    assert (status, page["count"]) == (200, 2)
    for found in (
        next(item for item in page["items"] if item["email"] == "foreign@x.org"),
        get("/users/foreign@x.org")[1],
        get("/users/foreign@x.org/history")[1]["items"][0],
    ):
        assert set(found) == {"email", "createdAt"}
        assert found["createdAt"] == pytest.approx(float(number))


def test_own_row_number_attribute_is_kept(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("a@x.org", 7, rowNumber={"S": "its own"}), version("b@x.org", 7))
    assert get("/users/a@x.org")[1]["rowNumber"] == "its own"
    assert get("/users/b@x.org")[1]["rowNumber"] == 7


LONG = 60_000


def test_pages_are_bounded_by_bytes(cloud: Cloud, table: str) -> None:
    # Each takes 7 times as much in the response: 420 KB, so that 20 of them are more than Lambda's 6 MB.
    name = {"S": "\x01" * LONG}
    put(cloud, table, *(version(f"user{number}@x.org", 1, name=name) for number in range(20)))
    put(cloud, table, *(version("many@x.org", row, name=name) for row in range(1, 21)))
    for path, total in (("/users", 21), ("/users/many@x.org/history", 20)):
        seen: list[tuple[str, int]] = []
        token: str | None = None
        while True:
            query_of = {"limit": "1000"} | ({"nextToken": token} if token else {})
            response = query.handler(api_event(path, **query_of), Context())
            assert response["statusCode"] == 200
            assert len(json.dumps(response)) <= 6_000_000
            page = json.loads(response["body"])
            assert page["items"]
            seen += [(item["email"], item["rowNumber"]) for item in page["items"]]
            token = page["nextToken"]
            if token is None:
                break
        assert len(set(seen)) == len(seen) == total


def expiring(email: str, row: int, seconds: int) -> Json:
    return version(email, row, expirationTime={"N": str(int(time.time()) + seconds)})


def test_expired_items_are_not_answered(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("mixed@x.org", 1), expiring("mixed@x.org", 2, 3_600))
    put(cloud, table, *(expiring("mixed@x.org", row, -60) for row in range(3, 40)))
    put(cloud, table, expiring("gone@x.org", 1, -60), expiring("gone@x.org", 2, -86_400))
    put(cloud, table, expiring("late@x.org", 1, -60), version("late@x.org", 2))
    assert get("/users/mixed@x.org")[1]["rowNumber"] == 2
    page = get("/users/mixed@x.org/history", limit="2")[1]
    assert ([item["rowNumber"] for item in page["items"]], page["nextToken"]) == ([2, 1], None)
    for path in ("/users/gone@x.org", "/users/gone@x.org/history"):
        assert get(path) == (404, {"error": "no such email"})
    for limit in ("1", "2", "10"):
        listed: list[tuple[str, int]] = []
        parameters = {"limit": limit}
        while True:
            page = get("/users", **parameters)[1]
            listed += [(item["email"], item["rowNumber"]) for item in page["items"]]
            if page["nextToken"] is None:
                break
            parameters["startKey"] = page["nextToken"]
        assert sorted(listed) == [("late@x.org", 2), ("mixed@x.org", 2)]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_every_front_end_is_supported(cloud: Cloud, table: str, front_end: str) -> None:
    put(cloud, table, *(version("a+b@x.org", row) for row in (1, 2)), version("c@x.org", 1))
    build = FRONT_ENDS[front_end]
    multi = front_end == "balancer multi-value"

    def ask(path: str, method: str = "GET", *parameters: tuple[str, str]) -> tuple[int, Json]:
        response = query.handler(build(path, method, parameters), Context())
        headers = {name: [value] for name, value in response["headers"].items()} if not multi else None
        assert (headers or response["multiValueHeaders"])["Content-Type"] == ["application/json"]
        assert response.get("statusDescription", "").startswith(str(response["statusCode"])) == (
            "balancer" in front_end
        )
        return response["statusCode"], json.loads(response["body"])

    assert ask("/users/a%2Bb@x.org")[1]["rowNumber"] == 2
    status, page = ask("/users", "GET", ("limit", "1"))
    assert (status, page["count"]) == (200, 1)
    assert ask("/users", "GET", ("limit", "5"), ("startKey", page["nextToken"]))[1]["count"] == 1
    assert ask("/users/a+b@x.org/history")[1]["count"] == 2
    assert ask("/elsewhere")[0] == 404
    assert ask("/users", "POST")[0] == 405


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_head_is_get_without_body(cloud: Cloud, table: str, front_end: str) -> None:
    put(cloud, table, version("a@x.org", 1))
    build = FRONT_ENDS[front_end]
    for path, status in (("/users/a@x.org", 200), ("/users", 200), ("/users/b@x.org", 404), ("/nowhere", 404)):
        got, head = (query.handler(build(path, method), Context()) for method in ("GET", "HEAD"))
        assert got["statusCode"] == status
        assert got["body"]
        assert head == {**got, "body": ""}


def test_options_lists_allowed_methods(cloud: Cloud, table: str) -> None:
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history"):
        assert query.handler(rest(path, "OPTIONS"), Context()) == {
            "statusCode": 204,
            "headers": {"Allow": "GET, HEAD, OPTIONS", "Cache-Control": "no-store"},
            "body": "",
            "isBase64Encoded": False,
        }
    assert get("/nowhere", "OPTIONS")[0] == 404


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"httpMethod": 5, "path": "/users"},
        {"httpMethod": "GET", "path": 5},
        {"httpMethod": "GET", "path": "/users/\ud800"},
        {"httpMethod": "GET", "path": "/users", "queryStringParameters": {"limit": 5}},
        {"httpMethod": "GET", "path": "/users", "queryStringParameters": ["limit"]},
        {"httpMethod": "GET", "path": "/users/a", "resource": 5, "pathParameters": "a"},
        {"httpMethod": "GET", "path": "/users", "queryStringParameters": {"limit": ["5", ["6"]]}},
        {"Records": [{"eventSource": "aws:sqs"}]},
    ],
)
def test_event_that_is_not_a_request_is_400(cloud: Cloud, table: str, event: Json) -> None:
    response = query.handler(event, Context())
    assert response["statusCode"] == 400
    assert list(json.loads(response["body"])) == ["error"]
