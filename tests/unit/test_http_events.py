"""Events of each HTTP front end -> the same request, whatever the front end decodes or prepends to the path."""

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.http_events import FrontEnd, front_end_of, method_of, read_request
from tests.builders.http_events import FRONT_ENDS, Query, balancer, balancer_multi, function_url, http_1, http_2, rest
from tests.builders.texts import texts

PAGE: Query = (("limit", "5"), ("startKey", "a b+c/ü="))


def refused(event: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        read_request(event)
    assert caught.value.status == 400
    return str(caught.value)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/users", ("users",)),
        ("/users/", ("users",)),
        ("/users/john%2Btag@x.org", ("users", "john+tag@x.org")),
        ("/users/j+t@x.org/history", ("users", "j+t@x.org", "history")),
        ("/users/%C3%A4@x.org", ("users", "ä@x.org")),
        ("/some/where/else", ("some", "where", "else")),
    ],
)
@pytest.mark.parametrize("query", [(), PAGE, (("limit", "1"), ("limit", "2")), (("empty", ""),)])
def test_every_front_end_delivers_the_same_request(
    front_end: str, path: str, segments: tuple[str, ...], query: Query
) -> None:
    request = read_request(FRONT_ENDS[front_end](path, "GET", query))
    assert (request.method, request.segments) == ("GET", segments)
    # A load balancer without multi-value headers keeps the last one.
    assert request.parameters == (tuple(dict(query).items()) if front_end == "balancer" else query)


@given(texts(20, min_size=1))
def test_any_key_is_decoded_exactly_once(key: str) -> None:
    path = "/users/" + "".join(f"%{byte:02X}" for byte in key.encode())
    for event in (rest(path), function_url(path), balancer(path)):
        assert read_request(event).segments == ("users", key)
    if "/" not in key:  # what API Gateway has decoded cannot be told from a separator
        for event in (http_2(path), http_1(path)):
            assert read_request(event).segments == ("users", key)


@pytest.mark.parametrize("build", [rest, function_url, balancer])
@pytest.mark.parametrize("key", ["%FF", "%E4@x.org", "a%C3", "%ED%A0%80"])
def test_key_that_is_not_utf_8_is_refused(build: Any, key: str) -> None:
    for path in (f"/users/{key}", f"/users/{key}/history", f"/{key}"):
        assert refused(build(path)) == "the path is not percent-encoded UTF-8"


@pytest.mark.parametrize("build", [http_1, http_2])
@pytest.mark.parametrize("routed", [True, False])
@pytest.mark.parametrize("stage", ["$default", "prod", "users"])
def test_stage_is_removed_from_the_path_of_an_http_api(build: Any, routed: bool, stage: str) -> None:
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history", "/elsewhere"):
        request = read_request(build(path, stage=stage, routed=routed))
        assert request.segments == tuple(path.strip("/").split("/"))


def test_base_path_of_a_custom_domain_is_removed() -> None:
    for path in ("/users", "/users/a@x.org", "/users/a@x.org/history"):
        segments = tuple(path.strip("/").split("/"))
        assert read_request(rest(path, base="/people/v1")).segments == segments
        mapped = http_2(path, stage="prod")
        mapped["rawPath"] = "/people/v1" + path
        assert read_request(mapped).segments == segments
    proxied = rest("/users/a%2Fb", base="/v1") | {"resource": "/{proxy+}", "pathParameters": {"proxy": "users/a%2Fb"}}
    assert read_request(proxied).segments == ("users", "a/b")


@pytest.mark.parametrize("event", [None, 5, "GET /users", [], {}, {"Records": []}, {"requestContext": {"http": {}}}])
def test_unknown_event_is_refused(event: Any) -> None:
    assert refused(event) == "the event is not an HTTP request of API Gateway, a function URL or a load balancer"
    assert method_of(event) is None
    assert front_end_of(event) == FrontEnd()


ODD = [5, 1.5, True, ["x"], [], {"a": 1}, {}, [None], "\ud800"]


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every field of an event, by the names that lead to it."""
    if not isinstance(value, dict):
        return [path]
    return [path, *(place for name in value for place in places(value[name], (*path, name)))][0 if path else 1 :]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("odd", [*ODD, None], ids=repr)
def test_field_of_any_type_is_at_most_a_400(front_end: str, odd: Any) -> None:
    event = FRONT_ENDS[front_end]("/users/a@x.org/history", "GET", PAGE)
    for place in places(event):
        spoiled = copy.deepcopy(event)
        inner = spoiled
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = odd
        with suppress(BadRequest):
            request = read_request(spoiled)
            assert all(isinstance(segment, str) for segment in request.segments)
            assert all(isinstance(text, str) for pair in request.parameters for text in pair)
        front_end_of(spoiled)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"httpMethod": 5}, "HTTP method of the event is not text"),
        ({"path": 5}, "path of the event is not text"),
        ({"path": "/users/\udc80"}, "path of the event is not text"),
        ({"resource": ["/users"]}, "route of the event is not text"),
        ({"queryStringParameters": "limit=5"}, "queryStringParameters of the event is not an object"),
        ({"queryStringParameters": {"limit": 5}}, "queryStringParameters of the event is not text"),
        (
            {"multiValueQueryStringParameters": {"limit": [5]}},
            "multiValueQueryStringParameters of the event is not text",
        ),
    ],
)
def test_wrong_type_is_named(change: dict[str, Any], text: str) -> None:
    assert refused(rest("/users") | change) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["httpMethod", "path", "rawPath", "version", "resource", "routeKey", "pathParameters", "rawQueryString"],
            JSON,
        )
        | {"requestContext": JSON | st.fixed_dictionaries({"http": st.fixed_dictionaries({"method": JSON})})},
    )
    | JSON
)
def test_any_event_is_at_most_a_400(event: Any) -> None:
    with suppress(BadRequest):
        read_request(event)
    front_end_of(event)


HEADERS = {"Content-Type": "application/json", "Allow": "GET"}


@pytest.mark.parametrize("build", [rest, http_1, http_2, function_url])
def test_response_to_api_gateway_has_only_fields_that_it_accepts(build: Any) -> None:
    assert front_end_of(build("/users")).response(405, HEADERS, "{}") == {
        "statusCode": 405,
        "headers": HEADERS,
        "body": "{}",
        "isBase64Encoded": False,
    }


def test_response_to_a_load_balancer_has_a_status_description() -> None:
    assert front_end_of(balancer("/users")).response(405, HEADERS, "{}") == {
        "statusCode": 405,
        "statusDescription": "405 Method Not Allowed",
        "headers": HEADERS,
        "body": "{}",
        "isBase64Encoded": False,
    }


def test_response_has_multi_value_headers_if_the_request_has_them() -> None:
    assert front_end_of(balancer_multi("/users")).response(200, HEADERS, "{}") == {
        "statusCode": 200,
        "statusDescription": "200 OK",
        "multiValueHeaders": {"Content-Type": ["application/json"], "Allow": ["GET"]},
        "body": "{}",
        "isBase64Encoded": False,
    }


def test_response_limit_is_1_mb_for_load_balancers_and_6_mb_otherwise() -> None:
    assert front_end_of(balancer("/users")).max_bytes == 1_000_000
    assert {front_end_of(build("/users")).max_bytes for build in (rest, http_1, http_2, function_url)} == {6_000_000}
