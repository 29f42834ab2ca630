"""``python -m benchmarks.stand_in``: the stand-in for AWS until a signal comes; says where it listens, as JSON."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import tempfile
from pathlib import Path

import uvloop

from benchmarks.contents import CONTENTS
from tests.fakeaws import tls
from tests.fakeaws.fast.server import Connection, StandIn


async def serve(port: int, folder: Path | None) -> None:
    """Serve on 127.0.0.1; port 0 takes a free one. With a folder, by TLS; the authority's certificate lies there."""
    loop = asyncio.get_running_loop()
    context, authority = tls.make(folder) if folder else (None, None)
    stand_in = StandIn(CONTENTS, "https" if context else "http")
    server = await loop.create_server(lambda: Connection(stand_in), "127.0.0.1", port, ssl=context, backlog=1024)
    bound = server.sockets[0].getsockname()[1]
    about = {"port": bound, "url": f"{stand_in.scheme}://127.0.0.1:{bound}", "authority": str(authority or "")}
    print(json.dumps(about), flush=True)
    # No cycles are made in a call, and a collection in the midst of a run would be seen in it.
    gc.freeze()
    gc.disable()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    await done.wait()
    server.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stand_in", description="a fast stand-in for AWS")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--tls", action="store_true", help="HTTPS, with an authority made for this run")
    arguments = parser.parse_args()
    if arguments.tls:
        with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
            uvloop.run(serve(arguments.port, Path(folder)))
    else:
        uvloop.run(serve(arguments.port, None))


if __name__ == "__main__":
    main()
