"""Time zones: the offset of a local time is that of the one moment which has it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.schema.time_zones import offset_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CHANGES = [
    ("Europe/Berlin", datetime(2024, 3, 31)),
    ("Europe/Berlin", datetime(2024, 10, 27)),
    ("America/St_Johns", datetime(2006, 4, 2)),
    ("America/St_Johns", datetime(2006, 10, 29)),
    ("Australia/Lord_Howe", datetime(2024, 4, 7)),
    ("Australia/Lord_Howe", datetime(2024, 10, 6)),
    ("Asia/Kathmandu", datetime(1986, 1, 1)),
    ("Pacific/Apia", datetime(2011, 12, 30)),
]


@pytest.mark.parametrize(("name", "day"), CHANGES)
def test_offsets_around_a_change_of_clocks(name: str, day: datetime) -> None:
    zone = ZoneInfo(name)
    around = day.replace(tzinfo=UTC)
    # All moments that may be at one of the local times, by those.
    found: dict[datetime, list[datetime]] = {}
    for each in range(-60 * 60, 90 * 60):
        moment = around + timedelta(minutes=each)
        found.setdefault(moment.astimezone(zone).replace(tzinfo=UTC), []).append(moment)
    for each in range(-36 * 60, 60 * 60):
        local = around + timedelta(minutes=each)
        moments = found.get(local, [])
        expected = int((local - moments[0]).total_seconds()) if len(moments) == 1 else None
        assert offset_of(zone, int((local - EPOCH).total_seconds())) == expected
