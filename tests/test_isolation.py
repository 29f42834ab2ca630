"""The tests cannot leave this machine, nor use anybody's credentials."""

import asyncio
import os
import socket
from pathlib import Path

import aiobotocore.session
import aiohttp
import pytest
import uvloop

from tests.conftest import ReachedOutError

# Of the block that is kept for documentation: nobody answers there.
ELSEWHERE = "192.0.2.1"


@pytest.mark.parametrize("host", [ELSEWHERE, "example.com", "2001:db8::1"])
def test_no_connection_leaves_this_machine(host: str) -> None:
    with pytest.raises(ReachedOutError):
        socket.create_connection((host, 80), timeout=1)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_no_client_leaves_this_machine(new_loop: "type[asyncio.AbstractEventLoop]") -> None:
    async def get() -> None:
        async with aiohttp.ClientSession() as http:
            await http.get(f"http://{ELSEWHERE}/")

    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(ReachedOutError):
        runner.run(get())


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=1):
        pass


async def test_credentials_are_made_up() -> None:
    session = aiobotocore.session.get_session()
    credentials = await session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.method) == ("test", "env")
    assert session.full_config["profiles"] == {}
    assert not (Path.home() / ".aws").exists()
    assert {name for name in os.environ if "AWS" in name and "TOKEN" in name} == set()
