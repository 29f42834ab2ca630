"""The endpoint of a command: valid URLs, and the default credentials for a local AWS."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import botocore.session

from engine.local.server import REGION, local_credentials

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def is_endpoint(url: str) -> bool:
    """Return whether `url` can be an endpoint: http or https, a host, and a valid port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port above 65535, a bracket that is not closed
        return False
    host = parts.hostname or ""
    plain = parts.scheme in ("http", "https") and port != 0 and url.isprintable() and " " not in url
    return plain and not (parts.query or parts.fragment) and (_is_address(host) or _is_name(host))


def is_loopback(url: str) -> bool:
    """Return whether the host of `url` is this machine, without a DNS query."""
    host = urlsplit(url).hostname or ""
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"


@contextmanager
def local_defaults(endpoint_url: str | None) -> Iterator[None]:
    """Use the credentials of the local AWS while the block runs, unless the environment has others.

    Only for an endpoint on this machine: these credentials are valid nowhere else.
    """
    with ExitStack() as stack:
        if endpoint_url is not None and is_loopback(endpoint_url):
            if not any(name in os.environ for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE")):
                stack.enter_context(local_credentials())
            elif botocore.session.Session().get_config_variable("region") is None:
                os.environ["AWS_DEFAULT_REGION"] = REGION
                stack.callback(os.environ.pop, "AWS_DEFAULT_REGION", None)
        yield


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))
