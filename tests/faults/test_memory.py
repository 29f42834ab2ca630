"""The producer's memory stays the same whatever the size of the object and however slow the queue is."""

import json
import os
import subprocess
import sys

import pytest

from tests.fakeaws.fault_objects import ObjectServer
from tests.fakeaws.fault_server import FaultServer
from tests.fakeaws.plans import Slow, always

SMALL, LARGE = 20, 100
"""Megabytes. What is in flight is bounded by 16: so the smaller object already fills whatever there is to fill."""

MOST_GROWTH = 32
"""Megabytes that the larger object may take beyond that; kept as bytes alone it would take 80 more."""

# In a process of its own, whose peak is not that of the tests. (Linux hands ru_maxrss down from parent to child.)
PROBE = """
import json
from engine.handlers import producer
from tests.builders.invocations import Context, event_of, s3_record

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))

producer.handler(event_of(s3_record("bucket", "small.csv")), Context(100))
before = peak()
answer = producer.handler(event_of(s3_record("bucket", "large.csv")), Context(100))
print(json.dumps([before, peak(), answer["totalRows"]]))
"""


def csv_of(megabytes: float) -> bytes:
    line = b"Somebody With A Name,somebody.with.a.name@example.com,9876543210\r\n"
    return b"name,mail,phone\r\n" + line * int(megabytes * 2**20 / len(line))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_large_object_takes_no_more_memory_than_small_one(
    env: pytest.MonkeyPatch,
    fault_server: FaultServer,
    object_server: ObjectServer,
    pytestconfig: pytest.Config,
) -> None:
    object_server.put("bucket", "small.csv", csv_of(SMALL))
    large = object_server.put("bucket", "large.csv", csv_of(LARGE))
    fault_server.plan = always(Slow(0.05))  # so that messages pile up, as far as they are let
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=pytestconfig.rootpath,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after, rows = json.loads(done.stdout.splitlines()[-1])  # the handler prints its metrics before
    print(f"peak: {before:.0f} MB, then {after:.0f} MB")
    assert rows == large.body.count(b"\n") - 1
    assert after - before < MOST_GROWTH
