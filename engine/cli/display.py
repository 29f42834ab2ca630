"""Output of the commands: a live progress bar on a terminal, plain lines elsewhere, so that logs stay readable."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from engine.cli.follow import Outcome
from engine.cli.letters import Letter
from engine.cli.near_misses import near_misses
from engine.cli.queues import Queues
from engine.cli.reasons import Reason
from engine.cli.standing import whereabouts
from engine.cli.words import counted, shortened

_INDENT = "  "
_LOG_LINE_CHARACTERS = 400
_EXAMPLE_CHARACTERS = 40
"""Columns; an example row that would be narrower is left out."""

_RECORD_CHARACTERS = 300

_WIDE = 80
"""Columns of an ordinary terminal; narrower ones get a compact layout."""

_WIDE_ENOUGH_FOR_IDS = 110
"""Columns; a narrower terminal has no room for the ids of ingestions in a table."""

_STATUS_STYLES = {"done": "green", "reading": "cyan", "writing": "cyan", "done_with_rejects": "yellow", "skipped": ""}

_BAR_CELLS, _BAR_CELLS_NARROW = 20, 8
_DONE_CHARACTERS = 64
_SECONDS_CHARACTERS = 8

_NAMES, _NAME_CHARACTERS = 20, 60
"""Names of columns that are listed, and their characters: a header may have thousands."""

_LINE_SECONDS = 2.0
"""Seconds between progress lines where there is no terminal."""


class Display:
    """Prints everything that the commands show."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to `console` (None: standard output)."""
        self._console = console or Console(highlight=False)

    def heading(self, text: str) -> None:
        """Print a section heading."""
        self._console.print()
        self._console.print(Text(f"{_INDENT}{_printable(text)}", style="bold"))
        self._console.print()

    def line(self, text: str = "", *, style: str = "") -> None:
        """Print one line, never wrapped or truncated, so that it can be copied."""
        self._console.print(Text(f"{_INDENT}{text}", style=style) if text else "", soft_wrap=True)

    def data(self, text: str, *, style: str = "") -> None:
        """Print text from elsewhere on one line, without escape sequences."""
        self.line(_printable(text), style=style)

    def letter(self, letter: Letter) -> None:
        """Print what is known of a message that failed every attempt, on up to three lines."""
        self.data(f"{letter.id}  {letter.queue}, sent {letter.sent}, received {counted(letter.received, 'time')}")
        self.data(f"  {letter.reason}", style="red")
        parts = (
            f"s3://{letter.bucket}/{letter.key}" if letter.bucket else None,
            f"ingestion {letter.ingestion}" if letter.ingestion else None,
            counted(letter.rows, "row") if letter.rows is not None else None,
        )
        if any(parts):
            self.data(f"  {', '.join(filter(None, parts))}", style="dim")

    def resource(self, name: str, status: str) -> None:
        """Print the status of a CloudFormation resource."""
        self.note(f"{status.lower():24} {name}")

    def pairs(self, rows: list[tuple[str, str]]) -> None:
        """Print names and values, one pair a line."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(
                Text.assemble(f"{_INDENT}{name:<{width}}  ", (_printable(value), "cyan")), soft_wrap=True
            )

    def note(self, text: str) -> None:
        """Print a remark, wrapped at the edge of the terminal."""
        self._console.print(Text(f"{_INDENT}{self._wrapped(text, len(_INDENT))}", style="dim"), soft_wrap=True)

    def done(self, text: str, seconds: float | None = None) -> None:
        """Print a completed step, with the time it took if that is known."""
        took = "" if seconds is None else f"{seconds:{_SECONDS_CHARACTERS - 2}.1f} s"
        indent = len(_INDENT) + 2
        room = max(min(_DONE_CHARACTERS, self._console.width - indent - _SECONDS_CHARACTERS), 1)
        text = self._wrapped(text, indent, len(took))
        padding = " " * (room - len(text.splitlines()[-1].strip())) if took else ""
        self._console.print(Text.assemble(_INDENT, ("✓ ", "green"), text, padding, (took, "dim")), soft_wrap=True)

    def failed(self, text: str) -> None:
        """Print a failure."""
        text = self._wrapped(text, len(_INDENT) + 2)
        self._console.print(Text.assemble(_INDENT, ("✗ ", "red"), text), soft_wrap=True)

    def missing(self, name: str, outcome: Outcome, again: str | None) -> None:
        """Print how many rows of a file are missing, and what is known about the cause.

        `again` is the command that reads the file once more, if there is one.
        """
        counts = f"{outcome.written:,} in the table, {outcome.rejected:,} rejected, {outcome.missing:,} missing"
        self.failed(f"{name}: of {counted(outcome.rows, 'row')} {counts}")
        document = outcome.document
        if document is None:
            self.note("The producer has not begun to read the file: it is not announced, or the producer is failing.")
        elif outcome.has_ended:
            reason = document["reason"] or f"{counted(document['read'], 'row')} read"
            self.note(f"The ingestion has ended as {document['status']}: {_printable(reason)}")
        else:
            is_read = "has sent all rows" if document["isRead"] else "has not read the file to its end"
            self.note(f"The producer {is_read}. Nothing has changed for a while, so following has stopped.")
        if outcome.queues and not outcome.has_ended:
            self.whereabouts(outcome.queues)
            if again:
                self.note("Ingesting the file again writes the same items:")
                self.line(f"  {again}", style="cyan")
        for error in outcome.errors:
            self.line(f"  {_printable(error[:_LOG_LINE_CHARACTERS])}", style="dim")

    def whereabouts(self, queues: Queues) -> None:
        """Print where rows can be that nothing happens to."""
        for text in whereabouts(queues):
            self.note(text)
        self.note("Queues do not tell which file a message is of.")

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Show `doing` while the block runs, then `done` with the time it took."""
        began = time.monotonic()
        if self._console.is_terminal:
            spinner = Padding(Spinner("dots", doing, style="cyan"), (0, 0, 0, len(_INDENT)))
            with Live(spinner, console=self._console, refresh_per_second=12.5, transient=True):
                yield
        else:
            yield
        self.done(done, time.monotonic() - began)

    @contextmanager
    def bars(self) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
        """Show the progress of ingestions; yield a function to call with the documents of those to update."""
        if not self._console.is_terminal:
            yield self._plain_bars()
            return
        cells = _BAR_CELLS if self._console.width >= _WIDE else _BAR_CELLS_NARROW
        room = self._console.width - len(_INDENT) - cells - 1
        bars = Progress(
            TextColumn(_INDENT.removesuffix(" ")),
            BarColumn(cells, complete_style="cyan", finished_style="green", table_column=Column(width=cells)),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
        )
        tasks: dict[str, TaskID] = {}
        with bars:

            def update(documents: Sequence[Mapping[str, Any]]) -> None:
                for gone in tasks.keys() - {document["ingestion"] for document in documents}:
                    bars.remove_task(tasks.pop(gone))
                for document in documents:
                    # How many rows there are is known when the object is read to its end.
                    total = document["read"] if document["isRead"] else None
                    done = document["read"] - document["inFlight"]
                    text = shortened(_ingestion_text(document), room)
                    if document["ingestion"] not in tasks:
                        tasks[document["ingestion"]] = bars.add_task(text, total=total)
                    bars.update(tasks[document["ingestion"]], total=total, completed=done, description=text)

            yield update

    def _plain_bars(self) -> Callable[[Sequence[Mapping[str, Any]]], None]:
        printed: dict[str, tuple[str, float]] = {}

        def update(documents: Sequence[Mapping[str, Any]]) -> None:
            now = time.monotonic()
            for document in documents:
                status, at = printed.get(document["ingestion"], ("", 0.0))
                if document["status"] != status or (not document["ended"] and now - at >= _LINE_SECONDS):
                    printed[document["ingestion"]] = document["status"], now
                    self.line(f"… {_ingestion_text(document)}")

        return update

    def summary(self, outcomes: list[tuple[str, Outcome]]) -> None:
        """Print a table with one line for each file: rows, written, rejected, seconds, records/s."""
        # On a narrow terminal the file's name is truncated, never a number.
        gap = 1 if self._console.width >= _WIDE else 0
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap), show_edge=False)
        table.add_column("file", overflow="ellipsis")
        for name in ("rows", "written", "rejected", "seconds", "records/s"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, outcome in outcomes:
            rate = outcome.written / outcome.seconds if outcome.seconds else 0.0
            table.add_row(
                Text(name),
                f"{outcome.rows:,}",
                Text(f"{outcome.written:,}", style="green" if outcome.complete else "red"),
                f"{outcome.rejected:,}",
                f"{outcome.seconds:,.1f}",
                f"{rate:,.0f}",
            )
        self._print_table(table)

    def remarks(self, document: Mapping[str, Any]) -> None:
        """Print what a person may not expect of a file, if anything: its columns, and rows that replace others."""
        ignored, absent = document["ignoredColumns"], document["absentColumns"]
        if ignored or absent:
            self.line()
        if ignored:
            self.note(f"Ignored, since the schema has no such column: {_listed(ignored)}")
        if absent:
            self.note(f"Absent from the file, so no row has a value of its own: {_listed(absent)}")
        for name, column in near_misses(ignored, absent):
            name = _printable(name)
            self.note(
                f"{name} is ignored, {column} is absent: is it the same column? If so, add an alias to the schema, "
                f'aliases = ["{name}"] under [columns.{column}], and ingest the file again.'
            )
        if document["replaced"]:
            least = "" if document["replacedExact"] else "at least "
            self.line()
            self.note(f"Rows replaced by a later row of the file with the same key: {least}{document['replaced']:,}")

    def ingestions(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Print a table of ingestions, one a line; see `engine.accounts.Account.document`."""
        # On a narrow terminal the file's name is truncated, never a number.
        is_wide = self._console.width >= _WIDE_ENOUGH_FOR_IDS
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, int(is_wide)), show_edge=False)
        table.add_column("file", overflow="ellipsis", no_wrap=True)
        for name in (*(("ingestion",) if is_wide else ()), "started", "status"):
            table.add_column(name, no_wrap=True)
        for name in ("read", "written", "rejected", "in flight"):
            table.add_column(name, justify="right", no_wrap=True)
        for document in documents:
            table.add_row(
                Text(_printable(str(document["key"]).rpartition("/")[2])),
                *((document["ingestion"],) if is_wide else ()),
                str(document["started"] or "")[0 if is_wide else 5 : 16].replace("T", " "),
                Text(document["status"], style=_STATUS_STYLES.get(document["status"], "red")),
                *(f"{document[name]:,}" for name in ("read", "written", "rejected", "inFlight")),
            )
        self._print_table(table)

    def ingestion(self, document: Mapping[str, Any]) -> None:
        """Print what is known of one ingestion; see `engine.accounts.Account.document`."""
        reason = f": {_printable(document['reason'])}" if document["reason"] else ""
        superseded = f" + {document['superseded']:,} superseded" if document["superseded"] else ""
        rows = (
            f"{document['read']:,} read = {document['written']:,} written + {document['rejected']:,} rejected"
            f"{superseded} + {document['inFlight']:,} in flight"
        )
        found = [f"{name} {_printable(str(value))}" for name, value in (document["found"] or {}).items()]
        size = None if document["size"] is None else counted(document["size"], "byte")
        pairs = {
            "ingestion": document["ingestion"],
            "corrects": document["corrects"],
            "status": f"{document['status']}{reason}",
            "rows": rows,
            "rate": f"{document['rowsPerSecond']:,} rows/s",
            **{name: document[name] for name in ("started", "changed", "ended")},
            "size": size,
            "version": document["versionId"],
            "detected": ", ".join(found),
        }
        self.pairs([(name, value) for name, value in pairs.items() if value])

    def counts(self, title: str, counts: Mapping[str, int]) -> None:
        """Print a table of texts and the rows of each, the most frequent first."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        table.add_column(title)
        table.add_column("rows", justify="right", no_wrap=True)
        for text, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
            table.add_row(Text(_printable(text)), f"{count:,}")
        self._print_table(table)

    def reasons(self, reasons: list[Reason]) -> None:
        """Print a table of the reasons for rejects: how many rows each, and the first of them."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        table.add_column("rejected because")
        table.add_column("rows", justify="right", no_wrap=True)
        # What the other two columns leave free; otherwise rich would shorten the numbers first.
        digits = max([len("rows"), *(len(f"{reason.rows:,}") for reason in reasons)])
        longest = max((len(reason.text) for reason in reasons), default=0)
        room = self._console.width - len(_INDENT) - longest - digits - 2 * len("   ")
        if room >= _EXAMPLE_CHARACTERS:
            table.add_column("the first of them", no_wrap=True)
        for reason in reasons:
            cells = [reason.text, f"{reason.rows:,}"]
            if room >= _EXAMPLE_CHARACTERS:
                cells.append(shortened(_printable(f"row {reason.first.row}: {reason.first.record}"), room))
            table.add_row(*map(Text, cells))
        self._print_table(table)

    def examples(self, reasons: Sequence[tuple[int, str, int, str]]) -> None:
        """Print reasons for rejects, each with an example below it, however narrow the terminal is.

        Each is the number of rows, the reason, and number and text of the first row.
        """
        digits = max(len(f"{rows:,}") for rows, _, _, _ in reasons)
        for rows, reason, first, record in reasons:
            self.line(f"{rows:>{digits},}  {reason}")
            self.line(f"{'':{digits}}  row {first}: {shortened(_printable(record), _RECORD_CHARACTERS)}", style="dim")

    def json(self, text: str) -> None:
        """Print a JSON document as the API sent it."""
        for line in text.splitlines():
            depth = len(_INDENT) + len(line) - len(line.lstrip())
            text = self._wrapped(line.lstrip(), depth, hanging=len(_INDENT))
            self._console.print(Text(f"{' ' * depth}{text}", style="cyan"), soft_wrap=True)

    def _wrapped(self, text: str, indent: int, behind: int = 0, *, hanging: int = 0) -> str:
        """Return text that begins in column `indent`, wrapped to leave `behind` columns free at the right edge.

        Continuation lines are indented by `hanging` more columns. Without a terminal a line is not wrapped.
        """
        if not self._console.is_terminal:
            return text
        room = max(self._console.width - indent - behind, hanging + 1)
        lines = textwrap.wrap(
            text, room, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
        )
        return f"\n{' ' * indent}".join(lines)

    def _print_table(self, table: Table) -> None:
        self._console.print(Padding(table, (0, 0, 0, len(_INDENT))))


def _printable(text: str) -> str:
    """Return untrusted text on one line, without the escape sequences that a terminal would interpret."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(shortened(_printable(name), _NAME_CHARACTERS) for name in names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES:,} more"


def _ingestion_text(document: Mapping[str, Any]) -> str:
    done = document["read"] - document["inFlight"]
    parts = [
        _printable(str(document["key"]).rpartition("/")[2]),
        f"{done:,} of {counted(document['read'], 'row')}{'' if document['isRead'] else ' read so far'}",
    ]
    if document["rejected"]:
        parts.append(f"{document['rejected']:,} rejected")
    return " · ".join([*parts, document["status"]])
