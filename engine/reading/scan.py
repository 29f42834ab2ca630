r"""A byte range of an object -> where its records begin, and how many there are, without reading what is before. Pure.

A range may begin anywhere, also within a quoted field. The scan therefore guesses where a record begins, and says what
would follow: a `Run`. There are at most two guesses, the ones of speculative parallel CSV parsing (Ge et al., SIGMOD
2019): the first line of the range begins outside of quotes, or inside. A run is true whatever was guessed: a reader
that is between two records at `start` comes to `end` after exactly `rows` records. `engine.reading.spans` joins the
runs of all ranges, and only believes one if a reader certainly arrives where it starts.

Why a run is true: each piece of the range is counted by `engine.reading.counting`, or read by the very reader that the
producer uses, started at a record and fed up to a line end. What it has read by then depends on nothing else:

- A reader continues at a `Position` exactly as if it had read all before it. So what comes of a run depends on its
  bytes, the header, the dialect and the limits, all of them known, and on `rescanned`, how many bytes broken records
  have cost before. That matters only where the sum nears its allowance; a run says how much it added.
- A count is only made of lines of which each is certainly read the same way whatever comes after them, and of no more
  bytes than a record may have, so that none is too long.
- What the readers hold back, because more bytes may change it, is not part of the run yet. A run ends where no
  reader has looked at more: one that is fed the bytes of the run alone reads all of them.

A range of the object begins with the first line after its first byte and ends with the first record that begins after
its last one; the lines to find it are read from the next range, mostly one. All this follows from the bytes of the
object, the range and the limits, not from the chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from operator import sub
from typing import NamedTuple, Protocol

from engine.reading.block import Position
from engine.reading.counting import LineCounter, RecordCounter
from engine.reading.delimited import CsvReader
from engine.reading.format import RFC_4180, Format
from engine.reading.json_lines import JsonLinesReader
from engine.reading.json_members import Members
from engine.reading.limits import USUAL_LIMITS, Limits
from engine.reading.lines import find_line_end, last_line_end


class Run(NamedTuple):
    """What a reader that begins a record at `start` comes to: `end`, after `rows` records.

    `before` and `rescanned`: the bytes that broken records are taken to have cost before, and what the run added.
    """

    start: int
    end: int
    rows: int
    before: int = 0
    rescanned: int = 0


class ScannedRange(NamedTuple):
    """The runs that may begin in the bytes from `begin` to before `end`; none if no record begins there."""

    begin: int
    end: int
    runs: tuple[Run, ...]


class _Counter(Protocol):
    def count(self, lines: bytes) -> tuple[int, int] | None: ...


@dataclass(slots=True)
class _Track:
    """A run in the making: a reader has come to `place` by bytes up to `fed`, and goes on there.

    `reader`: one that has taken those bytes, but not come to the end of a record. `looked`: up to where readers have
    looked to come to `place`. `ahead`: the track that is at the same place, with its rows and rescanned bytes there.
    """

    start: Position
    place: int
    rows: int = 0
    rescanned: int = 0
    fed: int = 0
    reader: CsvReader | JsonLinesReader | None = None
    looked: int = 0
    tried: bool = False
    ahead: tuple[_Track, int, int] | None = None


class RangeScan:
    """Scans the bytes from `begin` to before `end`; feed it those and the ones after them until it is `done`.

    `first` is any position after the header; its dialect tells delimited text from JSON. If a reader is known to arrive
    at `reached`, before `end`, feed the bytes from there instead: nothing is guessed then.
    """

    def __init__(
        self,
        first: Position,
        begin: int,
        end: int,
        form: Format,
        limits: Limits = USUAL_LIMITS,
        *,
        reached: Position | None = None,
    ) -> None:
        self._first, self._begin, self._end, self._form, self._limits = first, begin, end, form, limits
        dialect = first.dialect or RFC_4180
        self._is_csv = first.dialect is not None
        self._counter: _Counter = LineCounter()
        if self._is_csv:
            self._counter = RecordCounter(dialect, len(first.header or ()), pad=form.short_rows == "pad")
        self._quote = dialect.quote.encode() if self._is_csv else b""
        self._escaped = b"\\" + self._quote if dialect.escape == "backslash" else b""
        self._step = max(1, min(limits.slice_bytes, limits.record_bytes // 2))
        self._base = begin  # of the held bytes
        self._held = b""
        self._final = False
        self._guesses = reached is None
        self._tracks: list[_Track] | None = None
        if reached is not None:
            self._base = reached.offset
            self._tracks = [_Track(reached, reached.offset, rescanned=reached.rescanned, fed=reached.offset)]
        self.done = False
        """Whether no more bytes are needed."""

    @property
    def result(self) -> ScannedRange:
        """What was found, once the scan is done."""
        most, runs = self._limits.waste_allowed, []
        for track in self._tracks or ():
            place, rows, rescanned = track.place, track.rows, track.rescanned
            worst = rescanned
            if track.ahead is not None:
                other, other_rows, other_rescanned = track.ahead
                place, worst = other.place, max(worst, other.rescanned)
                rows += other.rows - other_rows
                rescanned += other.rescanned - other_rescanned
            start = track.start
            if not self._guesses or worst <= most:
                runs.append(Run(start.offset, place, rows, start.rescanned, rescanned - start.rescanned))
        return ScannedRange(self._begin, self._end, tuple(runs))

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self.done:
            self._held += data
            self._scan()

    def finish(self) -> None:
        """Take the end of the object."""
        if not self.done:
            self._final = True
            self._scan()

    @property
    def _known(self) -> int:
        """Where the bytes at hand end."""
        return self._base + len(self._held)

    def _scan(self) -> None:
        if self._tracks is None and not self._guess():
            return
        going = [track for track in self._tracks or () if self._goes_on(track)]
        while going:
            track = min(going, key=_progress)
            if not self._advance(track):
                break
            self._join(track)
            going = [track for track in self._tracks or () if self._goes_on(track)]
        self.done = not going
        self._drop_before(min((track.place for track in going), default=self._known))

    def _goes_on(self, track: _Track) -> bool:
        if track.ahead is not None or (self._final and track.place == self._known):
            return False
        return track.place <= self._end or track.place < track.looked

    def _guess(self) -> bool:
        """Guess where a record begins; return whether enough bytes are there for that."""
        first = self._line_end(self._base)
        if first is None and self._known <= self._end and not self._final:
            # The line may be longer than the memory: only the first half of a CRLF is kept of it.
            self._drop_before(self._known - self._held.endswith(b"\r"))
            return False
        if first is None or first > self._end:
            self._tracks = []
            return True
        starts = [first]
        if self._quote:
            if not self._final and self._known <= first + self._limits.record_bytes:
                return False
            closing = self._closing(first)
            if closing is not None and closing <= self._end:
                starts.append(closing)
        self._tracks = [
            _Track(self._first._replace(offset=start, row=1, rescanned=0, in_long_record=False), start, fed=start)
            for start in starts
            if not self._final or start < self._known
        ]
        return True

    def _closing(self, start: int) -> int | None:
        """Return the end of the first line from `start` on that closes a quoted field, if one is open there."""
        most = start + self._limits.record_bytes
        held = self._held[start - self._base : most - self._base]
        if self._quote not in held:
            return None
        lines = held.splitlines(keepends=True)
        counts = map(bytes.count, lines, repeat(self._quote))
        if self._escaped:
            counts = map(sub, counts, map(bytes.count, lines, repeat(self._escaped)))
        odd = next((place for place, count in enumerate(counts) if count % 2), None)
        if odd is None:
            return None
        start += sum(map(len, lines[:odd]))
        end = start + len(lines[odd])
        return end if self._line_end(start) == end else None

    def _has_odd_quotes(self, start: int, stop: int) -> bool:
        held, low, high = self._held, start - self._base, stop - self._base
        count = held.count(self._quote, low, high)
        if self._escaped:
            count -= held.count(self._escaped, low, high)
        return count % 2 == 1

    def _line_end(self, start: int) -> int | None:
        """Return the end of the line at `start`; None if it is not among the bytes at hand, or not yet certain."""
        held, place = self._held, start - self._base
        end = find_line_end(held, place) if self._is_csv else held.find(b"\n", place) + 1 or None
        if end is None or (end == len(held) and held.endswith(b"\r") and not self._final):
            return None
        return self._base + end

    def _last_line_end(self, stop: int, start: int) -> int:
        """Return the end of the last line that ends after `start` and not after `stop`; `start` if there is none."""
        low, high = start - self._base, stop - self._base
        if self._is_csv:
            return self._base + last_line_end(self._held, high, low)
        return self._base + max(self._held.rfind(b"\n", low, high) + 1, low)

    def _stop(self, track: _Track) -> tuple[int, bool] | None:
        """Return up to where a track reads next, and whether a line ends there; None if more bytes are needed."""
        fed, step, limit = track.fed, self._step, self._limits.record_bytes
        if fed <= self._end:
            for bound in ((fed // step + 1) * step, (fed // step + 2) * step):
                if bound > self._end:
                    return self._next_line(max(fed, self._end))
                if bound >= self._known and not self._final:
                    return None
                stop = self._last_line_end(min(bound, self._known), fed)
                if stop > fed:
                    return stop, True
            return min(bound, self._known), False
        if self._quote and not track.tried:
            if not self._final and self._known <= fed + limit:
                return None
            track.tried = True
            closing = self._closing(fed) if self._has_odd_quotes(track.place, fed) else None
            if closing is not None:
                return closing, True
        # A reader that waits for more bytes reads what it holds again each time: the more, the fewer times.
        return self._next_line(fed + (fed - track.place) // 8)

    def _next_line(self, start: int) -> tuple[int, bool] | None:
        """Return the end of the line at `start`, or a place in the line if it is longer than a step."""
        end, most = self._line_end(start), start + self._step
        if end is not None and end <= most:
            return end, True
        if self._known > most:
            return most, False
        return (self._known, False) if self._final else None

    def _advance(self, track: _Track) -> bool:
        """Count or read the next records of a track; return whether there were enough bytes for that."""
        where = self._stop(track)
        if where is None:
            return False
        stop, whole = where
        at_end = self._final and stop == self._known
        if track.reader is None:
            piece = self._held[track.place - self._base : stop - self._base]
            counted = self._count(piece) if (whole or at_end) and len(piece) <= self._limits.record_bytes else None
            if counted is not None and not (at_end and counted[1] < len(piece)):
                track.rows += counted[0]
                track.place += counted[1]
                track.fed = stop
                return True
            track.reader = self._open(track)
            new = track.place
        else:
            new = track.fed
        self._read(track, track.reader, self._held[new - self._base : stop - self._base], at_end=at_end)
        track.fed = track.looked = stop
        return True

    def _count(self, piece: bytes) -> tuple[int, int] | None:
        counted = self._counter.count(piece if piece.endswith(b"\n") else piece + b"\n")
        return counted and (counted[0], min(counted[1], len(piece)))

    def _open(self, track: _Track) -> CsvReader | JsonLinesReader:
        start = track.start._replace(offset=track.place, row=1, rescanned=track.rescanned, in_long_record=False)
        if self._is_csv:
            return CsvReader(start, self._limits, form=self._form, dialect=start.dialect or RFC_4180)
        return JsonLinesReader(_NO_MEMBERS, start, self._limits)

    def _read(self, track: _Track, reader: CsvReader | JsonLinesReader, piece: bytes, *, at_end: bool) -> None:
        """Read on, and note how far the reader comes: what it has not read yet, another one can begin with."""
        for _ in reader.feed(piece):
            pass
        if at_end:
            for _ in reader.finish():
                pass
        position = reader.position
        if at_end or (position.offset > track.place and not position.in_long_record):
            track.rows += position.row - 1
            track.place, track.rescanned, track.reader = position.offset, position.rescanned, None

    def _join(self, track: _Track) -> None:
        """Note if another track is at the same place: from there on they are the same."""
        for other in self._tracks or ():
            apart = other is track or other.ahead or other.reader or track.reader
            if not apart and other.place == track.place:
                track.ahead = other, other.rows, other.rescanned
                other.looked = max(other.looked, track.looked)
                return

    def _drop_before(self, place: int) -> None:
        self._held = self._held[place - self._base :]
        self._base = place


_NO_MEMBERS = Members({})


def _progress(track: _Track) -> int:
    return track.fed
