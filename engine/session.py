"""Whose account: credentials, region, endpoints and trusted authorities, as every AWS tool finds them.

All of it is botocore's own search through environment, files and services. It is botocore's session and not aioboto3's,
which looks in the same places: importing that one costs a cold start 200 ms more, for clients that the hot calls do not
use (`engine.clients` has those).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import botocore.exceptions
import botocore.session
from botocore.credentials import RefreshableCredentials
from botocore.httpsession import get_cert_path

from engine.errors import ServiceError
from engine.sign import Credentials


@contextmanager
def service_errors(operation: str) -> Iterator[None]:
    """Turn what botocore raises inside into `ServiceError`."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise ServiceError(operation, said.get("Code", "Unknown"), status, said.get("Message", "")) from error
    except botocore.exceptions.NoCredentialsError as error:
        raise ServiceError(operation, "NoCredentials", 403, "no AWS credentials were found") from error
    except (botocore.exceptions.BotoCoreError, OSError, TimeoutError) as error:
        raise ServiceError(operation, "ConnectionFailed", 0, type(error).__name__) from error
    except RuntimeError as error:
        # The one that botocore raises by itself: credentials that it has just renewed have expired already.
        raise ServiceError(operation, "ExpiredToken", 403, type(error).__name__) from error


class Endpoint(NamedTuple):
    """Where a service is spoken to, and the region that requests are signed for."""

    url: str
    region: str


class Session:
    """One person's or function's settings. Nothing is read before it is asked for."""

    def __init__(self) -> None:
        self._settings = botocore.session.Session()
        self._endpoints: dict[str, Endpoint] = {}
        self._credentials: Any = None
        self._loading = asyncio.Lock()

    def endpoint(self, service: str) -> Endpoint:
        """Return the endpoint of a service. Raises botocore's `NoRegionError` where no region is set."""
        if service not in self._endpoints:
            # Loads the whole model of the service. The credentials are none, so that it does not look for any.
            client = self._settings.create_client(service, aws_access_key_id="-", aws_secret_access_key="-")  # noqa: S106
            meta = client.meta
            self._endpoints[service] = Endpoint(meta.endpoint_url, meta.region_name)
        return self._endpoints[service]

    @property
    def models(self) -> Any:
        """Botocore's loader, with the service models and endpoints that it has read."""
        return self._settings.get_component("data_loader")

    def tls(self) -> ssl.SSLContext:
        """Return a context that checks certificates against the authorities that AWS tools trust."""
        return ssl.create_default_context(cafile=get_cert_path(self._settings.get_config_variable("ca_bundle") or True))

    async def credentials(self, renew: bool = False) -> Credentials:
        """Return current credentials, renewed in time by botocore where they can expire. Raises `ServiceError`.

        With `renew` the whole search begins again: what a service has just called expired is not used twice.
        """
        with service_errors("reading credentials"):
            async with self._loading:
                if self._credentials is None or renew:
                    # Both may ask a service, and botocore's session waits for the answer.
                    self._credentials = await asyncio.to_thread(botocore.session.Session().get_credentials)
            found = self._credentials
            if found is None:
                raise botocore.exceptions.NoCredentialsError
            frozen: Any
            if isinstance(found, RefreshableCredentials):
                frozen = await asyncio.to_thread(found.get_frozen_credentials)
            else:
                frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
