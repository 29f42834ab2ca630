"""The ledger's items and what they add up to: every row read is written, rejected or in flight. Pure.

An ingestion is one partition of the ledger:

- ``entry``: the object, when it arrived, and, once all is accounted for, the outcome and the final counts.
- ``span <start>``: what the producer counted in one span: rows read and rejected, messages sent.
- ``scan <size>``: where records begin in ranges of a huge object, while it is being split; see `engine.scans`.
- ``tally <start> <level> <index>``: what became of up to `FAN_OUT` messages (level 0), or the sums of up to `FAN_OUT`
  tallies of the level below.

An object that is announced again after its end or a failure, or with settings that cut it into other messages, is
read in a new run, which has tallies and counts of its own: messages of earlier runs that come late change nothing of
it. The first run has number 0, which is left out of keys, messages and items.

A message is noted under its number, so noting it twice changes nothing. A full tally is noted in the tally above it,
and the topmost tally of a span in the entry. Which tallies the last messages fill is known when the producer has read
the span: it marks them with the number that completes them. Each of these writes returns the whole item. So the last
writer, a worker or the producer, sees that nothing is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from engine.identity import ObjectRef, ObjectVersion
from engine.reject_limit import RejectLimit
from engine.tallies import FAN_OUT, Counts, Item, Node, Tally, read_tally, run_suffix, total
from engine.undone import undone_of

ENTRY = "entry"
TIME_INDEX = "by-time"

STATUSES = ("reading", "writing", "done", "done_with_rejects", "failed", "superseded", "skipped", "stuck")
"""What `Account.status` can return."""

EMPTY_MONTHS = 13
"""Entries may be kept for years, but after so many months without any file nothing older is looked for."""


def span_part_key(span: int, run: int = 0) -> str:
    """Return the sort key of the producer's counts of a span."""
    return f"span {span:015d}{run_suffix(' ', run)}"


def run_of(entry: Mapping[str, Any]) -> int:
    """Return the number of the run that an entry, as plain values, tells of."""
    return int(entry.get("run", 0))


def run_of_part(part: str) -> int | None:
    """Return the number of the run that an item of the partition belongs to; None for the entry."""
    kind, *numbers = part.split()
    common = {"span": 1, "scan": 1, "tally": 3}.get(kind)
    return None if common is None else int(numbers[common]) if len(numbers) > common else 0


def scans_part_key(span_bytes: int, run: int = 0) -> str:
    """Return the sort key of the results of scans, by which an object is split into spans of this size."""
    return f"scan {span_bytes:015d}{run_suffix(' ', run)}"


def arrival_id(ref: ObjectRef) -> str:
    """Return the id of the entry for an object that is not open yet, or never will be: its ingestion is unknown."""
    parts = ("arrival", ref.bucket, ref.key, ref.version or ref.etag or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def listing_key(moment: int, ingestion: str) -> tuple[str, str]:
    """Return the key of an entry in the index by time: the month and the time; `moment` in ms since the epoch."""
    time = iso(moment)
    return time[:7], f"{time} {ingestion}"


def listed_ingestion(place: str) -> str:
    """Return the ingestion that has this place in the index by time, the second part of `listing_key`."""
    return place.rpartition(" ")[2]


def month_before(month: str) -> str:
    """Return the month before one like ``2026-01``."""
    year, number = map(int, month.split("-"))
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02d}"


def iso(milliseconds: int) -> str:
    """Return a time as ISO 8601 with milliseconds, UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanCounts:
    """What the producer counted in a span, up to some message."""

    read: int
    rejected: int
    messages: int
    replaced: int = 0
    replaced_exact: bool = True
    reasons: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, Any] | None = None
    ignored: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    status: str = ""
    """`failed` or `superseded` if the span could not be read to its end."""
    reason: str = ""
    ended: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """The attributes of its item."""
        facts: dict[str, Any] = {"read": self.read, "rejected": self.rejected, "messages": self.messages}
        if self.ended:
            facts |= {
                "replaced": self.replaced,
                "replacedExact": self.replaced_exact,
                "status": self.status,
                "reason": self.reason,
                "about": orjson.dumps(
                    {
                        "found": self.found,
                        "rejectReasons": self.reasons,
                        "ignoredColumns": self.ignored,
                        "absentColumns": self.absent,
                    }
                ).decode(),
                "ended": True,
            }
        return facts


def plain(item: Item) -> dict[str, Any]:
    """Return an item's attributes as plain values: text, whole numbers, booleans."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "N" else content


def attribute(value: str | int | bool) -> dict[str, Any]:
    """Return a plain value as an attribute value."""
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


@dataclass(slots=True)
class Account:
    """All that the ledger knows of the last run of one ingestion, from its partition in the order of the keys."""

    entry: dict[str, Any] = field(default_factory=dict)
    spans: dict[int, dict[str, Any]] = field(default_factory=dict)
    tallies: dict[Node, Tally] = field(default_factory=dict)
    changed: int = 0

    def add(self, item: Item) -> None:
        """Take the next item of the partition. The entry is the first; what is of another run is left out."""
        part = item["part"]["S"]
        if run_of_part(part) not in (None, self.run):
            return
        kind, *numbers = part.split()
        self.changed = max(self.changed, int(item["changed"]["N"]) if "changed" in item else 0)
        if kind == ENTRY:
            self.entry = plain(item)
        elif kind == "span":
            self.spans[int(numbers[0])] = plain(item)
        elif kind == "tally" and numbers[1] == "0":
            self.tallies[Node(*map(int, numbers))] = read_tally(item)

    @property
    def run(self) -> int:
        """The number of its last run."""
        return run_of(self.entry)

    @property
    def source(self) -> ObjectVersion | None:
        """Its object; None if that was never open."""
        entry = self.entry
        if "modified" not in entry:
            return None
        return ObjectVersion(entry["bucket"], entry["key"], entry.get("versionId"), entry["etag"], entry["modified"])

    @property
    def rejects_since(self) -> int:
        """When its reject files are from, in whole seconds, as S3 tells it: older ones are of an earlier run."""
        return int(self.entry["started"]) // 1000

    def counts(self) -> dict[str, int]:
        """Return rows read, written, rejected, superseded and in flight. They always add up.

        Workers may have noted messages that the producer has not counted yet. Their rows have been read too. An attempt
        that failed does not know what a killed one had sent: workers may write that after the end.
        """
        sent = total(self._noted(lambda span, number: True))
        if "ended" in self.entry:
            noted = {name: self.entry.get(name, 0) for name in ("written", "rejected", "superseded")}
            by_producers = sum(span["rejected"] for span in self.spans.values())
            late = {"written": sent.written, "rejected": by_producers + sent.rejected, "superseded": sent.superseded}
            # A message that comes again may end otherwise, as superseded by its own rows: only more rows are news.
            parts = max(noted, late, key=lambda each: sum(each.values()))
            read = max(self.entry.get("read", 0), sum(parts.values()))
            # Not 0 where the end came too early: an attempt that failed had counted less than one that did not.
            return {"read": read, **parts, "inFlight": read - sum(parts.values())}
        ahead = total(self._noted(lambda span, number: number >= self.spans.get(span, {}).get("messages", 0)))
        read = sum(span["read"] for span in self.spans.values()) + ahead.rows
        rejected = sum(span["rejected"] for span in self.spans.values()) + sent.rejected
        return {
            "read": read,
            "written": sent.written,
            "rejected": rejected,
            "superseded": sent.superseded,
            "inFlight": read - rejected - sent.written - sent.superseded,
        }

    def sent(self, span: int) -> Counts:
        """Return what became of the rows of a span so far, from its tallies."""
        return total(self._noted(lambda its, number: its == span))

    def _noted(self, wanted: Any) -> Iterator[Counts]:
        for node, tally in self.tallies.items():
            for number, counts in tally.children.items():
                if wanted(node.span, node.number * FAN_OUT + number):
                    yield counts

    def status(self, moment: int, patience: int) -> str:
        """Return the status at a time in ms; without a change for `patience` ms, rows in flight are `stuck`."""
        if "ended" in self.entry:
            return str(self.entry["status"])
        if moment - self.changed > patience:
            return "stuck"
        if failed := next((span["status"] for span in self.spans.values() if span.get("status")), None):
            return str(failed)
        return "writing" if self._is_read else "reading"

    @property
    def is_all_known(self) -> bool:
        """Whether the ingestion has ended and all its spans are here, so that its document needs nothing else."""
        return "ended" in self.entry and (self._is_read or "modified" not in self.entry)

    @property
    def _is_read(self) -> bool:
        ended = sum("ended" in span for span in self.spans.values())
        return ended == spans_of(self.entry)

    def outcome(self) -> dict[str, Any]:
        """Return the final status, counts and reasons of an ingestion that is complete."""
        root = total(Counts.of(text) for name, text in self.entry.items() if run_of_total(name) == self.run)
        read = sum(span["read"] for span in self.spans.values())
        rejected = sum(span["rejected"] for span in self.spans.values()) + root.rejected
        failed = next(((span["status"], span["reason"]) for span in self.spans.values() if span.get("status")), None)
        status, reason = failed or ("done_with_rejects" if rejected else "done", "")
        accounted = rejected + root.written + root.superseded
        if not failed and "maxRejects" in self.entry:
            # No span knows the rejects of all others.
            limit, by_producers = RejectLimit.of(self.entry["maxRejects"]), rejected - root.rejected
            if problem := limit.problem(read, by_producers, at_end=True):
                status, reason = "failed", problem
        if failed:
            # A run that could not go on where another one had ended does not know how many rows that one sent.
            read = accounted
        elif read != accounted:
            status, reason = "failed", f"{read:,} rows were read, and {accounted:,} are accounted for"
        return {
            "status": status,
            "reason": reason,
            "read": read,
            "written": root.written,
            "rejected": rejected,
            "superseded": root.superseded,
        }

    def document(self, moment: int, patience: int) -> dict[str, Any]:
        """Return what people and programs are told of the ingestion."""
        entry, counts, spans = self.entry, self.counts(), [self.spans[start] for start in sorted(self.spans)]
        about = [orjson.loads(span["about"]) for span in spans if "about" in span]
        reasons: dict[str, int] = {}
        for each in about:
            for reason, count in each["rejectReasons"].items():
                reasons[reason] = reasons.get(reason, 0) + count
        by_workers = counts["rejected"] - sum(span["rejected"] for span in spans)
        if by_workers > 0:
            reasons["refused by the table"] = by_workers
        started, ended, undone = entry.get("started"), entry.get("ended"), undone_of(entry)
        seconds = ((ended or moment) - started) / 1000 if started else 0
        done = counts["read"] - counts["inFlight"]
        return {
            "ingestion": entry["ingestion"],
            "bucket": entry.get("bucket"),
            "key": entry.get("key"),
            "versionId": entry.get("versionId"),
            "etag": entry.get("etag"),
            "size": entry.get("size"),
            "schema": entry.get("schema"),
            "corrects": entry.get("corrects"),
            "status": self.status(moment, patience),
            "reason": next((span["reason"] for span in spans if span.get("reason")), entry.get("reason") or ""),
            "isRead": "ended" in entry or self._is_read,
            **counts,
            "replaced": sum(span.get("replaced", 0) for span in spans),
            "replacedExact": all(span.get("replacedExact", True) for span in spans),
            "rejectReasons": reasons,
            "found": about[0]["found"] if about else None,
            "ignoredColumns": about[0]["ignoredColumns"] if about else [],
            "absentColumns": about[0]["absentColumns"] if about else [],
            "started": iso(started) if started else None,
            "changed": iso(self.changed) if self.changed else None,
            "ended": iso(ended) if ended else None,
            "undone": {"at": iso(undone.at), "items": undone.items} if undone else None,
            "rowsPerSecond": round(done / seconds) if seconds > 0 else 0,
        }


def span_total_name(span: int, run: int = 0) -> str:
    """Return the attribute of the entry that holds the sum of a span."""
    return f"s{span}{run_suffix('r', run)}"


def run_of_total(name: str) -> int | None:
    """Return the run of which an attribute of the entry holds the sum of a span; None if it is another attribute."""
    span, _, run = name[1:].partition("r")
    if name[0] != "s" or not span.isdigit():
        return None
    return int(run) if run else 0


def spans_of(entry: Mapping[str, Any]) -> int | None:
    """Return in how many spans an object is read, from the entry as plain values; None if that is not known yet."""
    spans = entry.get("spans")
    return 1 if spans is None and not entry.get("split") else spans


def is_complete(entry: Mapping[str, Any]) -> bool:
    """Return whether each span of an entry, as plain values, is accounted for."""
    run = run_of(entry)
    return sum(run_of_total(name) == run for name in entry) == spans_of(entry)
