"""Safeguards of the engine, and for each one an edit of its source that breaks it."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """Replaces a text that is in a module exactly once."""

    module: str
    old: str
    new: str


class Mutation(NamedTuple):
    """What is broken, and how."""

    name: str
    edits: tuple[Edit, ...]


def _mutation(name: str, module: str, old: str, new: str) -> Mutation:
    return Mutation(name, (Edit(module, old, new),))


MUTATIONS: tuple[Mutation, ...] = (
    _mutation(
        "unprocessed items are not written again",
        "aws/table_writer.py",
        "return sorted(by_key[key] for key in keys)",
        "return [] if keys else sorted(by_key)",
    ),
    _mutation(
        "`Failed` entries of SendMessageBatch count as sent",
        "aws/queues.py",
        'accepted = {entry["Id"] for entry in body.get("Successful") or ()}',
        'accepted = {entry["Id"] for kind in ("Successful", "Failed") for entry in body.get(kind) or ()}',
    ),
    _mutation(
        "entries that the reply does not mention count as sent",
        "aws/queues.py",
        "settled = left & accepted | refused.keys()",
        "settled = left - {each for each, _, _ in failed} | refused.keys()",
    ),
    _mutation(
        "one call has a key twice",
        "items.py",
        "        if self._distinct():\n",
        "        if self._count:\n",
    ),
    Mutation(
        "an object that was replaced is read on",
        (
            Edit("aws/objects.py", "    if ref.etag:\n", "    if ref.etag and not offset:\n"),
            Edit("aws/objects.py", 'if (get("etag") or "").strip(\'"\') != version.etag:', "if not version.etag:"),
            Edit("aws/objects.py", 'good = get("content-length") == str(size)', "good = True"),
            Edit(
                "aws/objects.py",
                "good = span is not None and (int(span[1]), int(span[2])) == (offset, size)",
                "good = True",
            ),
        ),
    ),
    _mutation(
        "a rest is taken up though the object was replaced",
        "jobs/object_run.py",
        "if self._rest.modified not in (None, opened.version.modified):",
        "if self._rest.modified == 0:",
    ),
    _mutation(
        "a message is acknowledged though its rest was not handed on",
        "jobs/write.py",
        "        failures += [delivery.message_id for i, delivery in enumerate(waiting) if i not in handed_on]\n",
        "",
    ),
    _mutation(
        "the producer does not hand on the rest of a file",
        "jobs/object_run.py",
        "            await hand_off(self._producer.spans, span_body(source.ref, rest), self._time.last)\n",
        "",
    ),
    _mutation(
        "the producer ends before SQS has accepted the last messages",
        "aws/queues.py",
        "                await sending.flush()\n        except",
        "        except",
    ),
    _mutation(
        "messages are acknowledged though the ledger does not know of them",
        "jobs/write.py",
        "    failures += await _account_all(worker, done, outcome, last)\n",
        "    await _account_all(worker, done, outcome, Deadline(0.0))\n",
    ),
    _mutation(
        "the ledger is told of rows that are not written yet",
        "jobs/write.py",
        "done = [each for each in (*settled, *refused) if each.message_id not in failures]",
        "done = [each for each in deliveries if each.message_id not in failures]",
    ),
    _mutation(
        "an ingestion is closed before its end is announced",
        "jobs/account.py",
        '        await self.announcer().announce(kind, {"ingestion": ingestion, **about, **outcome}, deadline)\n'
        "        await self.ledger.close(ingestion, outcome, deadline, run=run)\n",
        "        await self.ledger.close(ingestion, outcome, deadline, run=run)\n"
        '        await self.announcer().announce(kind, {"ingestion": ingestion, **about, **outcome}, deadline)\n',
    ),
    Mutation(
        "the worker keeps no time back before its deadline",
        (
            Edit("handlers/worker.py", "RESERVE_SECONDS = 3.0", "RESERVE_SECONDS = 0.0"),
            Edit("handlers/worker.py", "ANSWER_SECONDS = 0.5", "ANSWER_SECONDS = 0.0"),
        ),
    ),
    Mutation(
        "the producer keeps no time back before its deadline",
        (
            Edit("handlers/producer.py", "RESERVE_SECONDS = 5.0", "RESERVE_SECONDS = 0.0"),
            Edit("handlers/producer.py", "ANSWER_SECONDS = 1.0", "ANSWER_SECONDS = 0.0"),
        ),
    ),
    _mutation(
        "connections are used again however long they were idle",
        "aws/http1.py",
        "MAX_IDLE_SECONDS = 20.0",
        "MAX_IDLE_SECONDS = 2000.0",
    ),
    _mutation(
        "tallies of two runs are one",
        "tallies.py",
        "{self.number:010d}{run_suffix(' ', self.run)}\"",
        '{self.number:010d}"',
    ),
    _mutation(
        "an older version replaces a newer one",
        "items.py",
        '"attribute_not_exists(#v) OR #v <= :v"',
        '"attribute_not_exists(#v) OR #v <= :v OR #v > :v"',
    ),
    _mutation(
        "a run continues one row too far",
        "spans.py",
        "        self._row, self._message = row, message\n",
        "        self._row, self._message = row + 1, message\n",
    ),
    _mutation(
        "a run continues with the number of the last message",
        "spans.py",
        "        self._row, self._message = row, message\n",
        "        self._row, self._message = row, max(0, message - 1)\n",
    ),
    _mutation(
        "a span is read beyond its end",
        "jobs/object_run.py",
        "            opened.end_before(self._span.stop)\n",
        "            pass\n",
    ),
    _mutation(
        "the last file of rejects is not put",
        "jobs/object_run.py",
        "            await self._put(self._rejects.flush())\n",
        "            self._rejects.flush()\n",
    ),
    _mutation(
        "rows that the table refuses are not recorded",
        "jobs/write.py",
        "        _note_refused(delivery, outcome)\n",
        "        pass\n",
    ),
    _mutation(
        "replies that were damaged on their way are believed",
        "aws/lane.py",
        "if checksum is not None and checksum != str(zlib.crc32(reply.body)):",
        "if checksum == '':",
    ),
    _mutation(
        "a late note of progress replaces a newer one",
        "aws/ledger.py",
        '("attribute_not_exists(#read) OR #read < :read", {"#read": "read"}, {":read": counts.read})',
        '("attribute_not_exists(#read) OR #read >= :read OR #read < :read", {"#read": "read"}, {":read": counts.read})',
    ),
    _mutation(
        "a tally is full when it has as many notes as it expects, whichever they are",
        "tallies.py",
        "return all(number in self.children for number in range(self.expected))",
        "return len(self.children) >= self.expected",
    ),
    _mutation(
        "a place in the gate is not given back",
        "flow/gate.py",
        '        """Note that a call is over."""\n        self._calls.give_back()\n',
        '        """Note that a call is over."""\n',
    ),
    _mutation(
        "attempts follow one another without a wait",
        "flow/attempts.py",
        "    await asyncio.sleep(delay)\n",
        "    await asyncio.sleep(0)\n",
    ),
    _mutation(
        "a proxy's page counts as the reply to PutItem",
        "aws/conditional_calls.py",
        "        _check_reply(operation, reply)\n",
        "        pass\n",
    ),
    _mutation(
        "a proxy's page counts as the reply to PutObject",
        "aws/s3.py",
        '(reply.headers.get("etag") or operation in _WITHOUT_ETAG)',
        '(reply.headers.get("etag") or operation in ("PutObject", *_WITHOUT_ETAG))',
    ),
    _mutation(
        "an object that is gone before its spans are asked for never ends",
        "jobs/run_account.py",
        "            for start in await not_asked_for(accounting, ingestion, scan, last):\n",
        "            for start in ():\n",
    ),
)
