"""Credentials, region, endpoints, trusted authorities and requests to S3, as every AWS tool finds and makes them.

All of it is botocore's own search through environment, files and services. aioboto3's session looks in the same places
but is not used: importing it slows cold starts by 200 ms. Tools get its clients from `engine.deployment.clients`.
"""

from __future__ import annotations

import asyncio
import io
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import botocore.exceptions
import botocore.session
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.httpsession import get_cert_path

from engine.aws.sign import Credentials
from engine.aws.types import Request
from engine.errors import ServiceError, Verdict


@contextmanager
def service_errors(operation: str) -> Iterator[None]:
    """Turn botocore's exceptions into `ServiceError`."""
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
        # Botocore raises this one itself when freshly renewed credentials have already expired.
        raise ServiceError(operation, "ExpiredToken", 403, type(error).__name__) from error


class Endpoint(NamedTuple):
    """The URL of a service, and the region that requests to it are signed for."""

    url: str
    region: str


MAX_WRITERS = 8
"""Regions whose request-writing client is kept; each client takes 0.4 MB."""

_BREAK = re.compile("[\r\n\0]")


class SignedRequest(NamedTuple):
    """A request to S3 as botocore's own client would send it."""

    request: Request
    region: str
    """The region that it is signed for."""


class _Nothing(io.BytesIO):
    """The empty body of the stand-in reply; botocore reads it by `stream`."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        return iter(())


class _Writer:
    """Writes and signs requests to S3 in one region, with a botocore client that sends nothing."""

    def __init__(self, settings: botocore.session.Session, credentials: Credentials, region: str | None) -> None:
        self.credentials = credentials
        self._client: Any = settings.create_client(
            "s3",
            region_name=region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=Config(parameter_validation=False),
        )
        self._written: Any = None
        # Botocore takes what a handler of this event returns for the reply, and sends nothing.
        self._client.meta.events.register("before-send.s3", self._keep)
        self._client.meta.events.register("before-call.s3.CreateSession", self._refuse)

    def _keep(self, request: Any, **_: Any) -> Any:
        self._written = request
        return AWSResponse(request.url, 200, HTTPHeaders(), _Nothing())

    def _refuse(self, **_: Any) -> None:
        # Botocore would block the event loop until it is answered. S3 sends no events for objects in such buckets.
        raise ValueError("directory buckets (S3 Express) cannot be used: use a general purpose bucket")

    def write(self, operation: str, arguments: Mapping[str, Any]) -> SignedRequest:
        getattr(self._client, xform_name(operation))(**arguments)
        written, self._written = self._written, None
        headers = {
            name: value.decode("latin-1") if isinstance(value, bytes) else value
            for name, value in written.headers.items()
            if name.lower() != "expect"  # the body is sent at once; this header is not signed
        }
        if any(_BREAK.search(value) for value in headers.values()):
            raise ValueError("a header field would have a line break, perhaps from the session token")
        body = b"" if written.body is None else written.body.read()
        return SignedRequest(Request(written.method, written.url, headers, body), self._client.meta.region_name)


class Session:
    """The AWS settings of this process, each read on first use."""

    def __init__(self) -> None:
        self._settings = botocore.session.Session()
        self._endpoints: dict[str, Endpoint] = {}
        self._writers: dict[str | None, _Writer] = {}
        self._tls: ssl.SSLContext | None = None
        self._credentials: Any = None
        self._loading = asyncio.Lock()

    def endpoint(self, service: str) -> Endpoint:
        """Return the endpoint of a service. Raises botocore's `NoRegionError` where no region is set."""
        if service not in self._endpoints:
            # This loads the service's whole model. Dummy credentials keep botocore from searching for real ones.
            client = self._settings.create_client(service, aws_access_key_id="-", aws_secret_access_key="-")  # noqa: S106
            meta = client.meta
            self._endpoints[service] = Endpoint(meta.endpoint_url, meta.region_name)
        return self._endpoints[service]

    def tls(self) -> ssl.SSLContext:
        """Return a context that checks certificates against the authorities trusted by AWS tools."""
        if self._tls is None:
            authorities = get_cert_path(self._settings.get_config_variable("ca_bundle") or True)
            self._tls = ssl.create_default_context(cafile=authorities)
        return self._tls

    async def s3_request(
        self, operation: str, arguments: Mapping[str, Any], region: str | None = None
    ) -> SignedRequest:
        """Return a request to S3, addressed and signed by botocore's client.

        `arguments` are those of the client's method for `operation`, such as ``GetObject``; `region` is the bucket's
        region if it is not the session's. Raises `ServiceError`.
        """
        credentials = await self.credentials()
        try:
            writer = self._writers.get(region)
            if writer is None or writer.credentials != credentials:
                self._writers.pop(region, None)
                if len(self._writers) == MAX_WRITERS:
                    del self._writers[next(iter(self._writers))]  # the oldest
                writer = self._writers[region] = _Writer(self._settings, credentials, region)
            return writer.write(operation, arguments)
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            # Nothing was sent, so a setting or a name is wrong.
            raise ServiceError(
                operation, "InvalidParameter", 400, " ".join(str(error).split()), verdict=Verdict.FATAL
            ) from error

    async def credentials(self, renew: bool = False) -> Credentials:
        """Return current credentials; botocore renews them before they expire. Raises `ServiceError`.

        `renew` searches again from the start, so that credentials which a service has just called expired are dropped.
        """
        with service_errors("reading credentials"):
            async with self._loading:
                if self._credentials is None or renew:
                    # This may call a service, and botocore blocks until it answers; so may the call below.
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
