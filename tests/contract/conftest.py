"""The services that the I/O rooms are held against, over real sockets."""

import urllib.request
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from engine.local.server import LocalServer
from tests.builders.invocations import fresh_processes
from tests.contract.clouds import EMULATORS, Cloud, StandIn, StandInS3, places
from tests.emulators.dynamodb_local import dynamodb_local
from tests.emulators.localstack import localstack
from tests.emulators.process import Unavailable
from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.listener import in_thread


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a cloud at each place that has the services it needs."""
    if "cloud" in metafunc.fixturenames:
        metafunc.parametrize("cloud", list(places(metafunc.definition)), indirect=True)


@pytest.hookimpl(trylast=True)  # after -k and -m have selected
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where an emulator cannot be run, skip one of its tests with the reason, for all of them."""
    for place, check in EMULATORS.items():
        there = [item for item in items if item.get_closest_marker(place)]
        if not there:
            continue
        try:
            check()
        except Unavailable as error:
            first, *others = there
            first.add_marker(pytest.mark.skip(reason=f"{error}. All {len(there)} tests at {place} are left out."))
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The endpoint URL of a moto server for all tests; use `endpoint`, which also empties it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def endpoint(moto_server: str) -> str:
    """The endpoint URL of a moto server with nothing in it."""
    request = urllib.request.Request(f"{moto_server}/moto-api/reset", method="POST")  # noqa: S310 - our own URL
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        return moto_server


@pytest.fixture(scope="session")
def ministack_server() -> Iterator[LocalServer]:
    """The local AWS, for what moto gets wrong. Never emptied: a test uses names of its own."""
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="session")
def moto_cloud(moto_server: str) -> Iterator[Cloud]:
    """The moto server with clients."""
    cloud = Cloud("moto", moto_server)
    yield cloud
    cloud.close()


@pytest.fixture(scope="session")
def ministack_cloud(ministack_server: LocalServer) -> Iterator[Cloud]:
    """The local AWS with clients."""
    cloud = Cloud("ministack", ministack_server.endpoint_url)
    yield cloud
    cloud.close()


@pytest.fixture(scope="session")
def dynamodb_local_cloud() -> Iterator[Cloud]:
    """DynamoDB Local with clients. Never emptied: a test uses names of its own."""
    with dynamodb_local() as url:
        cloud = Cloud("dynamodb_local", url)
        yield cloud
        cloud.close()


@pytest.fixture(scope="session")
def localstack_cloud() -> Iterator[Cloud]:
    """LocalStack with clients. Never emptied: a test uses names of its own."""
    with localstack() as url:
        cloud = Cloud("localstack", url)
        yield cloud
        cloud.close()


@pytest.fixture(scope="session")
def stand_in_cloud() -> Iterator[Cloud]:
    """The stand-in for DynamoDB and SQS with clients. Never emptied: a test uses names of its own."""
    with in_thread(FaultServer()) as server:
        cloud = StandIn(server)
        yield cloud
        cloud.close()


@pytest.fixture(scope="session")
def stand_in_s3_cloud() -> Iterator[Cloud]:
    """The stand-in for S3 with clients. Never emptied: a test uses names of its own."""
    with in_thread(ObjectServer(buckets=set())) as server:
        cloud = StandInS3(server)
        yield cloud
        cloud.close()


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each place in turn; a test's marker `gaps` names what is known to be wrong there."""
    if request.param == "moto":
        request.getfixturevalue("endpoint")  # empties it
    found: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    return found


@pytest.fixture
def moto(endpoint: str, moto_cloud: Cloud) -> Cloud:
    """Moto alone, with nothing in it, where a second opinion adds nothing."""
    assert moto_cloud.endpoint == endpoint
    return moto_cloud


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The functions' environment variables, to be set by the test; what the handlers open is closed after it."""
    with fresh_processes():
        yield monkeypatch
