"""What must hold: at each write to the ledger, and at the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.accounts import Account
from engine.handlers import query
from engine.handlers.query import open_query
from engine.handlers.runtime import Process
from engine.identity import ObjectVersion
from engine.item_keys import Key, key_of
from engine.jobs.replay import replay
from engine.jobs.verify import Verification
from engine.rejects import read_rejects
from engine.schema.parse import parse_schema
from tests.builders.http_events import function_url
from tests.simulate.cloud import BUCKET, POISON
from tests.simulate.files import (
    COLLECTION,
    HAS_VERSION,
    Row,
    digits_of,
    ingestion_of,
    plain_number,
    schema_text,
    version_of,
)

if TYPE_CHECKING:
    from tests.simulate.world import Version, World

Json = dict[str, Any]
DONE = ("done", "done_with_rejects")


class Checks:
    """The promises, and whether a world keeps them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.made = 0
        self._known: dict[str, Version] = {}

    def _account(self, ingestion: str) -> Account:
        account = Account()
        items = self._world.cloud.ledger.items
        for _, item in sorted((key, item) for key, item in items.items() if key[0] == ingestion):
            account.add(item)
        return account

    def _id(self, version: Version) -> str:
        return ingestion_of(BUCKET, version.file.key, version.version or version.etag, version.modified)

    def _version_of(self, ingestion: str) -> Version | None:
        if len(self._known) < len(self._world.versions):
            self._known = {self._id(each): each for each in self._world.versions}
        return self._known.get(ingestion)

    # ---- at each write to the ledger ----

    def ledger_written(self, ingestion: str) -> None:
        """Check an account; see `_check_account`."""
        try:
            self._check_account(ingestion)
        except AssertionError as error:
            self._world.cloud.fail(error)

    def _check_account(self, ingestion: str) -> None:
        """Check that rows read = written + rejected + superseded + in flight, and that none is claimed too early."""
        version = self._version_of(ingestion)
        if version is None:
            return
        self.made += 1
        account = self._account(ingestion)
        counts = account.counts()
        parts = counts["written"] + counts["rejected"] + counts["superseded"] + counts["inFlight"]
        reading = version.file.reading
        assert counts["read"] == parts, counts
        assert min(counts.values()) >= 0, counts
        assert counts["read"] <= len(reading.rows) + len(reading.bad), counts
        refused = sum(row.is_refused for row in reading.rows)
        assert counts["rejected"] <= len(reading.bad) + refused, counts
        if self._world.plan.schema in HAS_VERSION:
            put = len(self._world.cloud.table.put.get(digits_of(ingestion), ()))
            assert counts["written"] <= put, f"{counts} while {put} rows are in the table"

    # ---- at the end ----

    async def at_end(self) -> None:
        """Check what is left when all has come to its end."""
        world = self._world
        self._check_dead_letters()
        whole: list[Version] = []
        parts: list[Version] = []
        for version in self._distinct():
            account = self._account(self._id(version))
            if self._is_whole(version, account):
                whole.append(version)
            elif account.entry:
                parts.append(version)
        self._check_table(whole, parts)
        self._check_events()
        schema = parse_schema(schema_text(world.plan.schema), "schema")
        items = {key_of(item, schema): item for item in world.cloud.table.items.values()}
        for version in whole:
            if world.plan.schema in ("history", "newest") or self._is_unambiguous():
                await self._verify(version, items)

    def _is_unambiguous(self) -> bool:
        """Return whether no row can replace another."""
        rows = [row for version in self._distinct() for row in version.file.reading.rows]
        return len({row.key(self._world.plan.schema) for row in rows}) == len(rows)

    def _distinct(self) -> list[Version]:
        """Return the versions, each ingestion once: the same bytes may be put twice in a second."""
        return list({self._id(version): version for version in self._world.versions}.values())

    def _check_dead_letters(self) -> None:
        cloud = self._world.cloud
        dead = [message.body for message in cloud.dead.messages if message.body not in POISON]
        assert not dead, f"dead letters: {dead}"
        assert not cloud.dead_spans.held, f"dead letters of spans: {[each.body for each in cloud.dead_spans.messages]}"
        assert not self._world.failed_events, f"failed events: {self._world.failed_events}"
        if "poison" in self._world.plan.faults:
            assert len(cloud.dead.held) == len(POISON), "poison is not in the dead-letter queue"

    def _is_whole(self, version: Version, account: Account) -> bool:
        """Check the account of a version; return whether all of it was loaded."""
        entry, reading, ingestion = account.entry, version.file.reading, self._id(version)
        counts = account.counts()
        if not entry:
            assert version.is_disturbed or self._is_turned_away(version), f"{ingestion} is not in the ledger"
            return False
        if "ended" not in entry:
            assert self._is_repeated(version), f"{ingestion} has not ended: {counts}"
            return False
        assert counts["read"] == counts["written"] + counts["rejected"] + counts["superseded"], counts
        if entry["status"] not in DONE:
            is_excused = version.is_disturbed or reading.is_refused or self._has_too_many_rejects(version)
            is_excused = is_excused or "invocations in a row" in entry["reason"]
            assert is_excused, f"{ingestion} ended as {entry['status']}: {entry['reason']}"
            return False
        assert not reading.is_refused, f"{ingestion} should have been refused"
        refused = {row.number for row in reading.rows if row.is_refused}
        rejected = self._rejected(version)
        if self._world.plan.schema == "newest":
            # A newer row of its key spares a row the refusal, in some deliveries of its message.
            assert {*reading.bad} <= rejected <= {*reading.bad, *refused}, (sorted(rejected), reading.bad, refused)
            assert len(reading.bad) <= counts["rejected"] <= len(rejected), (counts, sorted(rejected))
        else:
            assert rejected == {*reading.bad, *refused}, (sorted(rejected), reading.bad, refused)
            assert (counts["superseded"], counts["rejected"]) == (0, len(rejected)), (counts, sorted(rejected))
        assert entry["status"] == ("done_with_rejects" if counts["rejected"] else "done"), (entry["status"], counts)
        expected = len(reading.rows) + len(reading.bad)
        assert counts["read"] == expected, f"{counts}, but the file has {expected} rows"
        return True

    def _is_repeated(self, version: Version) -> bool:
        """Return whether the very bytes of a version were put again under its key, without a version id.

        Where its reader was killed, the next one finds the later object, and cannot know that it is another one.
        """
        counts = self._world.producer.counts
        is_broken_off = bool(counts["killed"] or counts["failed invocations"])
        return (
            is_broken_off
            and version.version is None
            and any(
                each.etag == version.etag and each.file.key == version.file.key and each.modified > version.modified
                for each in self._world.versions
            )
        )

    def _is_turned_away(self, version: Version) -> bool:
        """Return whether a file without a header was refused before it had an ingestion of its own."""
        return not version.file.body

    def _has_too_many_rejects(self, version: Version) -> bool:
        reading, limit = version.file.reading, self._world.plan.settings.max_rejects
        bad, rows = len(reading.bad), len(reading.rows) + len(reading.bad)
        if limit.endswith("%"):
            return bad * 100 > int(limit[:-1]) * rows
        return bad > int(limit)

    def _rejected(self, version: Version) -> set[int]:
        """Return the rows of a version that are in reject files."""
        folder = f"rejects/{version.file.key}/{self._id(version)}/"
        found = self._rejects_in(folder)
        if self._world.plan.settings.records_per_message == 1:  # plain messages do not say where they came from
            found |= self._rejects_in("rejects/plain/") & {
                row.number for row in version.file.reading.rows if row.is_refused
            }
        return found

    def _rejects_in(self, folder: str) -> set[int]:
        objects = self._world.cloud.s3.objects
        files = [stored.body for (_, key), stored in objects.items() if key.startswith(folder)]
        return {reject.row for body in files for reject in read_rejects(body)}

    def _check_table(self, whole: list[Version], parts: list[Version]) -> None:
        """Check that the table holds what the files say, and nothing else."""
        schema = self._world.plan.schema
        items = [self._plain(item) for item in self._world.cloud.table.items.values()]
        if schema == "history":
            self._check_history(items, whole, parts)
            return
        sure, possible = self._rows(whole), self._rows([*whole, *parts])
        found = {self._key(item): item for item in items}
        assert set(found) <= set(possible), f"unknown keys {sorted(set(found) - set(possible))[:3]}"
        assert set(sure) <= set(found), f"missing keys {sorted(set(sure) - set(found))[:3]}"
        for key, item in found.items():
            assert item in possible[key], f"{key} has what no file says: {item}"
            if schema == "newest" and key in sure:
                newest = max(Decimal(each["v"]) for each in sure[key])
                assert Decimal(item["v"]) >= newest, f"{key} is not the newest: {item}"

    def _check_history(self, items: list[dict[str, str]], whole: list[Version], parts: list[Version]) -> None:
        found = {(item["id"], item["v"]): item for item in items}
        expected = {(item["id"], item["v"]): item for version in whole for item in self._items(version)}
        for key, item in expected.items():
            assert found.pop(key, None) == item, f"missing or different: {item}"
        for version in parts:
            own = {(item["id"], item["v"]): item for item in self._items(version)}
            there = [key for key in found if key in own]
            for key in there:
                assert found.pop(key) == own[key]
            account = self._account(self._id(version))
            written = account.counts()["written"]
            is_right = len(there) == written if "ended" in account.entry else len(there) >= written
            assert is_right, f"{written} rows are said to be written, {len(there)} are there"
        assert not found, f"items that no file has: {list(found.values())[:2]}"

    def _rows(self, versions: Iterable[Version]) -> dict[tuple[str, ...], list[dict[str, str]]]:
        rows: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
        for version in versions:
            for item in self._items(version):
                rows[self._key(item)].append(item)
        return rows

    def _key(self, item: Mapping[str, str]) -> tuple[str, ...]:
        return (item["id"], item["sku"]) if self._world.plan.schema == "replace" else (item["id"],)

    def _items(self, version: Version) -> list[dict[str, str]]:
        """Return the items that a version's rows must become."""
        return [self._item(version, row) for row in version.file.reading.rows if not row.is_refused]

    def _item(self, version: Version, row: Row) -> dict[str, str]:
        ingestion, schema = self._id(version), self._world.plan.schema
        item = dict(row.values)
        if schema in HAS_VERSION:
            item["v"] = version_of(version.modified, row.number, ingestion)
        if schema == "replace versions":
            item |= {"row": str(row.number), "by": ingestion}
        return item

    def _plain(self, item: Json) -> dict[str, str]:
        plain = {}
        for name, value in item.items():
            ((kind, content),) = value.items()
            plain[name] = plain_number(content) if kind == "N" else content
        if self._world.plan.schema == "history":
            assert plain.pop("at")
        return plain

    def _check_events(self) -> None:
        """Check that each ingestion's end was announced, with its counts."""
        announced = defaultdict(list)
        for event in self._world.cloud.backend.events:
            announced[json.loads(event["Detail"])["ingestion"]].append(
                (event["DetailType"], json.loads(event["Detail"]))
            )
        for version in self._distinct():
            entry = self._account(self._id(version)).entry
            if "ended" not in entry:
                continue
            kind = "Ingestion Completed" if entry["status"] in DONE else "Ingestion Failed"
            told = announced[self._id(version)]
            names = ("status", "read", "written", "rejected", "superseded")
            assert any((its, *map(detail.get, names)) == (kind, *map(entry.get, names)) for its, detail in told), (
                f"{self._id(version)} was not announced: {told}"
            )

    async def _verify(self, version: Version, items: Mapping[Key, Json]) -> None:
        """Check that `verify` says success."""
        world = self._world
        source = ObjectVersion(BUCKET, version.file.key, version.version, version.etag, version.modified)

        async def chunks() -> AsyncIterator[bytes]:
            yield version.file.body

        async def lookup(keys: Iterable[Key]) -> list[Json]:
            return [items[key] for key in keys if key in items]

        async def modified_of(other: str) -> int | None:
            return self._account(other).entry.get("modified")

        schema = parse_schema(schema_text(world.plan.schema), "schema")
        rejected = self._rejected(version)
        verification = Verification(
            source, schema, ttl_days=None, is_rejected=rejected.__contains__, moment=0, modified_of=modified_of
        )
        await verification.run(replay(chunks(), source, schema), lookup, lambda _: True)
        assert verification.is_good, verification.document()

    # ---- the API, after the end ----

    def api(self) -> None:
        """Check that the query function returns each key once, and each ingestion with its counts."""
        world = self._world
        world.cloud.is_quiet = True
        process: Process[Any] = Process(open_query)
        before, query.process = query.process, process
        try:
            found: list[str] = []
            token = None
            while True:
                page = self._get(f"/{COLLECTION}", ("limit", "7"), *((("startKey", token),) if token else ()))
                found += [item["id"] for item in page["items"]]
                token = page["nextToken"]
                if token is None:
                    break
            ids = {item["id"]["S"] for item in world.cloud.table.items.values()}
            assert set(found) == ids, "the API does not list what the table has"
            for version in self._distinct():
                entry = self._account(self._id(version)).entry
                if "ended" in entry:
                    told = self._get(f"/ingestions/{self._id(version)}")
                    assert (told["status"], told["read"]) == (entry["status"], entry["read"])
        finally:
            query.process = before
            process.close()

    def _get(self, path: str, *parameters: tuple[str, str]) -> Json:
        reply = query.handler(function_url(path, "GET", parameters), _Context())
        assert reply["statusCode"] == 200, reply
        document: Json = json.loads(reply["body"])
        return document


class _Context:
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000
