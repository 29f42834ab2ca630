"""Lambda events of HTTP front ends -> one request; status, headers and body -> the response each expects. Pure.

| front end | event | path | query parameters |
| --- | --- | --- | --- |
| API Gateway REST API | format 1.0 without `version` | as the client encoded it | decoded |
| API Gateway HTTP API | format 1.0 or 2.0 | decoded, begins with the stage | decoded in 1.0, raw in 2.0 |
| Lambda function URL | format 2.0 | as the client encoded it | raw |
| Application Load Balancer | a format of its own | as the client encoded it | as the client encoded them |

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, unquote_plus

from engine.errors import BadRequest
from engine.text import is_text

MAX_RESPONSE_BYTES = 6_000_000
"""Lambda quota: 6 MB for a response, counted after the runtime has written it as JSON. API Gateway takes 10 MB."""

MAX_BALANCER_RESPONSE_BYTES = 1_000_000
"""Elastic Load Balancing quota: 1 MB for the response JSON of a Lambda target."""

_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What the response must look like: `max_bytes` as JSON, and a load balancer's two peculiarities."""

    max_bytes: int = MAX_RESPONSE_BYTES
    status_description: bool = False
    multi_value_headers: bool = False

    def response(self, status: int, headers: dict[str, str], body: str) -> dict[str, Any]:
        """Return the response as this front end expects it."""
        response = {"statusCode": status, "headers": headers, "body": body, "isBase64Encoded": False}
        # Only for a load balancer: API Gateway refuses a response with a field that it does not know.
        if self.status_description:
            response["statusDescription"] = f"{status} {_REASONS[status]}"
        if self.multi_value_headers:
            del response["headers"]
            response["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
        return response


GATEWAY = FrontEnd()
BALANCER = FrontEnd(MAX_BALANCER_RESPONSE_BYTES, status_description=True)
# With multi-value headers switched on for the target group, the load balancer ignores the field `headers`.
MULTI_VALUE_BALANCER = replace(BALANCER, multi_value_headers=True)


class HttpRequest(NamedTuple):
    """A request without a body: the decoded segments of its path, and its query parameters, as often as each came."""

    method: str
    segments: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    front_end: FrontEnd = GATEWAY


def front_end_of(event: Any) -> FrontEnd:
    """Return what called the function, of whatever event."""
    if not _is_balancer(event):
        return GATEWAY
    return MULTI_VALUE_BALANCER if isinstance(event.get("multiValueHeaders"), dict) else BALANCER


def method_of(event: Any) -> Any:
    """Return the HTTP method that any event names; None if it names none."""
    if not isinstance(event, dict):
        return None
    return event.get("httpMethod") or _get(event, "requestContext", "http", "method")


def read_request(event: Any) -> HttpRequest:
    """Return the request that an event describes; `BadRequest` if that is none, or has fields of wrong types."""
    method = method_of(event)
    if method is None:
        raise BadRequest(400, "the event is not an HTTP request of API Gateway, a function URL or a load balancer")
    method = _text(method, "HTTP method")
    if event.get("httpMethod") is None:
        return HttpRequest(method, _segments_2(event), _parameters_2(event))
    parameters = _parameters_1(event)
    if not _is_balancer(event):
        return HttpRequest(method, _segments_1(event), parameters)
    segments = _decoded(_split(event.get("path"), "path"))
    decoded = tuple((unquote_plus(name), unquote_plus(value)) for name, value in parameters)
    return HttpRequest(method, segments, decoded, front_end_of(event))


def _segments_1(event: dict[str, Any]) -> tuple[str, ...]:
    """Return the path of format 1.0, of REST APIs and of HTTP APIs."""
    segments, route = _split(event.get("path"), "path"), event.get("resource")
    if event.get("version") is None:
        return _decoded(_routed(segments, route, event))
    return tuple(_routed(segments, route, event))


def _segments_2(event: dict[str, Any]) -> tuple[str, ...]:
    """Return the path of format 2.0, of HTTP APIs and of function URLs."""
    segments, route = _split(event.get("rawPath"), "rawPath"), event.get("routeKey")
    domain = _get(event, "requestContext", "domainName")
    if isinstance(domain, str) and ".lambda-url." in domain:
        return _decoded(segments)
    if isinstance(route, str):
        route = route.partition(" ")[2]  # "GET /users/{email}", or "$default"
    return tuple(_routed(segments, route, event))


def _routed(segments: list[str], route: Any, event: dict[str, Any]) -> list[str]:
    """Return the segments without the stage or the base path of a custom domain that they begin with.

    The route that API Gateway matched tells how many there must be. Its `$default` route tells nothing: then only the
    stage is known.
    """
    if not route or not _text(route, "route").startswith("/"):
        stage = _get(event, "requestContext", "stage")
        return segments[1:] if len(segments) > 1 and segments[0] == stage else segments
    parts = route.strip("/").split("/")
    count = len(parts)
    if parts[-1].endswith("+}"):  # several segments, of whatever is left of the path
        rest = _get(event, "pathParameters", parts[-1][1:-2])
        count += _text(rest, "path parameter").strip("/").count("/")
    return segments[-count:]


def _split(path: Any, name: str) -> list[str]:
    return _text(path, name).strip("/").split("/")


def _decoded(segments: list[str]) -> tuple[str, ...]:
    """Decode segments one by one: a key may hold an encoded slash."""
    try:
        return tuple(unquote(segment, errors="strict") for segment in segments)
    except UnicodeDecodeError:
        raise BadRequest(400, "the path is not percent-encoded UTF-8") from None


def _parameters_1(event: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the query parameters of a format that has them in objects, as they are."""
    for field in ("multiValueQueryStringParameters", "queryStringParameters"):
        if found := event.get(field):
            if not isinstance(found, dict):
                raise BadRequest(400, f"{field} of the event is not an object")
            pairs = ((name, each) for name, value in found.items() for each in _each(value))
            return tuple((_text(name, field), _text(value, field)) for name, value in pairs)
    return ()


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _parameters_2(event: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the query parameters of format 2.0, whose `queryStringParameters` joins repeated ones by commas."""
    query = event.get("rawQueryString")
    return tuple(parse_qsl(_text(query, "rawQueryString"), keep_blank_values=True)) if query else ()


def _is_balancer(event: Any) -> bool:
    return _get(event, "requestContext", "elb") is not None


def _get(value: Any, *names: str) -> Any:
    """Return what is stored under `names`, one in the other; None where there is nothing of the kind."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any, name: str) -> str:
    if not is_text(value):
        raise BadRequest(400, f"{name} of the event is not text")
    return str(value)
