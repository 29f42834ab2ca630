"""The query function over a real table: what each request answers, and how it fails."""

import json
from typing import Any

import pytest

from engine.handlers import query
from tests.builders.invocations import Context, Json, api_event, encoded
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


@pytest.fixture
def table(cloud: Cloud, env: pytest.MonkeyPatch) -> str:
    name = cloud.table()
    env.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    env.setenv("TABLE_NAME", name)
    return name


def put(cloud: Cloud, table: str, *items: Json) -> None:
    for item in items:
        cloud.dynamodb.put_item(TableName=table, Item=item)


def test_the_latest_version_is_answered(cloud: Cloud, table: str) -> None:
    put(cloud, table, *(version("john@gmail.com", row) for row in (2, 10, 1)), version("other@gmail.com", 99))
    assert get("/users/john@gmail.com") == (
        200,
        {"email": "john@gmail.com", "createdAt": 1775260800, "rowNumber": 10, "name": "version 10", "phone": "N/A"},
    )


def test_a_later_upload_is_later_whatever_the_row(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("a@x.org", 900_000), version("a@x.org", 1, modified=1_775_260_801))
    assert get("/users/a@x.org")[1]["createdAt"] == 1_775_260_801


def test_numbers_keep_their_digits(cloud: Cloud, table: str) -> None:
    digits = "12345678901234567890123456789012345678"
    put(cloud, table, version("a@x.org", 1, score={"N": digits}, vip={"BOOL": True}, note={"NULL": True}))
    answer = query.handler(api_event("/users/a@x.org"), Context())
    assert f'"score":{digits}' in answer["body"]
    assert json.loads(answer["body"])["vip"] is True
    assert json.loads(answer["body"])["note"] is None


def test_an_address_is_found_however_it_is_written(cloud: Cloud, table: str) -> None:
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


def test_who_is_not_there_is_a_404(cloud: Cloud, table: str) -> None:
    put(cloud, table, version("nobody@x.org.uk", 1))
    for path in ("/users/nobody@x.org", "/users/nobody@x.org/history"):
        assert get(path) == (404, {"error": "no such email"})


def test_what_is_asked_wrongly_is_told_so(cloud: Cloud, table: str) -> None:
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
    for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD"):
        answer = query.handler(api_event("/users", method), Context())
        assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "GET")
        assert json.loads(answer["body"]) == {"error": f"{method} is not allowed here, only GET"}


def test_a_missing_table_is_a_500_that_tells_nothing(cloud: Cloud, table: str, env: pytest.MonkeyPatch) -> None:
    env.setenv("TABLE_NAME", "no-such-table")
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history"):
        assert get(path) == (500, {"error": "internal error", "requestId": "request-7"})


def test_a_wrong_setting_is_a_500_that_tells_nothing(
    cloud: Cloud, table: str, env: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env.setenv("SCHEMA", "/no/such/file.toml")
    assert get("/users") == (500, {"error": "internal error", "requestId": "request-7"})
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "millpond"]
    assert line["requestId"] == "request-7"
    assert "SCHEMA" in line["reason"]
    env.delenv("SCHEMA")
    assert get("/users")[0] == 200


def test_the_history_comes_newest_first_by_pages(cloud: Cloud, table: str) -> None:
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
    assert sizes[:2] == [10, 10]


def test_a_history_token_is_good_for_its_own_user_only(cloud: Cloud, table: str) -> None:
    put(cloud, table, *(version("a@x.org", row) for row in range(3)), *(version("b@x.org", row) for row in range(3)))
    token = get("/users/a@x.org/history", limit="1")[1]["nextToken"]
    assert get("/users/b@x.org/history", startKey=token) == (400, {"error": "startKey belongs to another email"})
