"""Events of the HTTP front ends, as each delivers a request: shapes as captured from the live services.

`path` is as a client wrote it, with percent-encoding; `query` pairs are decoded, and may repeat a name.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlencode

Json = dict[str, Any]
Query = tuple[tuple[str, str], ...]


def rest(path: str, method: str = "GET", query: Query = (), *, base: str = "") -> Json:
    """API Gateway REST API, format 1.0; `base` is the base path of a custom domain."""
    route, parameters = _route(path)
    return {
        "resource": route,
        "path": base + path,
        "httpMethod": method,
        "headers": {"Host": "abc.execute-api.eu-central-1.amazonaws.com"},
        "multiValueHeaders": {"Host": ["abc.execute-api.eu-central-1.amazonaws.com"]},
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _multi(query) or None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {"resourcePath": route, "stage": "prod", "path": f"/prod{path}", "httpMethod": method},
        "body": None,
        "isBase64Encoded": False,
    }


def http_1(path: str, method: str = "GET", query: Query = (), *, stage: str = "$default", routed: bool = True) -> Json:
    """API Gateway HTTP API with format 1.0: the path is decoded, and begins with the stage."""
    event = rest(unquote(path), method, query, base="" if stage == "$default" else f"/{stage}")
    route = event["resource"] if routed else "$default"
    return {**event, "version": "1.0", "resource": route, "requestContext": {"stage": stage, "resourcePath": route}}


def http_2(path: str, method: str = "GET", query: Query = (), *, stage: str = "$default", routed: bool = True) -> Json:
    """API Gateway HTTP API with format 2.0: the path is decoded, and begins with the stage."""
    route, parameters = _route(unquote(path))
    prefix = "" if stage == "$default" else f"/{stage}"
    event = function_url(path, method, query)
    event["routeKey"] = f"{method} {route}" if routed else "$default"
    event["rawPath"] = prefix + unquote(path)
    event["pathParameters"] = parameters if routed else None
    event["requestContext"] |= {"domainName": "abc.execute-api.eu-central-1.amazonaws.com", "stage": stage}
    return event


def function_url(path: str, method: str = "GET", query: Query = ()) -> Json:
    """Lambda function URL: format 2.0, the path as it was written."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query),
        "headers": {"host": "abc.lambda-url.eu-central-1.on.aws"},
        "queryStringParameters": {name: ",".join(values) for name, values in _multi(query).items()} or None,
        "pathParameters": None,
        "requestContext": {
            "domainName": "abc.lambda-url.eu-central-1.on.aws",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }


def balancer(path: str, method: str = "GET", query: Query = ()) -> Json:
    """Application Load Balancer: nothing is decoded."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/q/1"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {quote(name): quote(value) for name, value in query},
        "headers": {"host": "q.eu-central-1.elb.amazonaws.com"},
        "body": "",
        "isBase64Encoded": True,
    }


def balancer_multi(path: str, method: str = "GET", query: Query = ()) -> Json:
    """Application Load Balancer with multi-value headers switched on for its target group."""
    event = balancer(path, method, query)
    encoded = tuple((quote(name), quote(value)) for name, value in query)
    del event["queryStringParameters"], event["headers"]
    multi = {"multiValueQueryStringParameters": _multi(encoded), "multiValueHeaders": {"host": ["q.elb.amazonaws.com"]}}
    return event | multi


FRONT_ENDS: dict[str, Callable[..., Json]] = {
    "rest": rest,
    "http 1.0": http_1,
    "http 2.0": http_2,
    "function url": function_url,
    "balancer": balancer,
    "balancer multi-value": balancer_multi,
}


def _route(path: str) -> tuple[str, Json | None]:
    match path.strip("/").split("/"):
        case ["users"]:
            return "/users", None
        case ["users", email]:
            return "/users/{email}", {"email": email}
        case ["users", email, "history"]:
            return "/users/{email}/history", {"email": email}
        case _:
            return "/{proxy+}", {"proxy": path.strip("/")}


def _multi(query: Query) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in query:
        found.setdefault(name, []).append(value)
    return found
