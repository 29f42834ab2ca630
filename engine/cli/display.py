"""Output of the commands: a live progress bar on a terminal, plain lines elsewhere, so that logs stay readable."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from engine.cli.accounts import Reason
from engine.cli.follow import Outcome, Snapshot
from engine.cli.near_misses import near_misses
from engine.cli.words import counted, shortened

_INDENT = "  "
_LOG_LINE_CHARACTERS = 400
_EXAMPLE_CHARACTERS = 40
"""Columns; an example row that would be narrower is left out."""

_RECORD_CHARACTERS = 300

_WIDE = 80
"""Columns of an ordinary terminal; narrower ones get a compact layout."""

_BAR_CELLS, _BAR_CELLS_NARROW = 20, 8
_DONE_CHARACTERS = 64
_SECONDS_CHARACTERS = 8

_NAMES, _NAME_CHARACTERS = 20, 60
"""Names of columns that are listed, and their characters: a header may have thousands."""

_QUIET_SECONDS = 5.0
"""Seconds without a new row after which the progress line says so."""

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
        self._console.print(Text(f"{_INDENT}{text}", style="bold"))
        self._console.print()

    def line(self, text: str = "", *, style: str = "") -> None:
        """Print one line, never wrapped or truncated, so that it can be copied."""
        self._console.print(Text(f"{_INDENT}{text}", style=style) if text else "", soft_wrap=True)

    def resource(self, name: str, status: str) -> None:
        """Print the status of a CloudFormation resource."""
        self.note(f"{status.lower():24} {name}")

    def pairs(self, rows: list[tuple[str, str]]) -> None:
        """Print names and values, one pair a line."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(Text.assemble(f"{_INDENT}{name:<{width}}  ", (value, "cyan")), soft_wrap=True)

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
        if not outcome.missing:
            self.note("The table has an item with the key of each row, but it may be from an earlier file.")
        self.note(_producer_text(outcome))
        for count, queue in (
            (outcome.queued, "record queue"),
            (outcome.dead_letters, "dead-letter queue"),
            (outcome.failed_files, "failure queue"),
        ):
            if count:
                self.note(f"In the {queue}: {counted(count, 'message')}, of this file or of others.")
        if not outcome.has_ended:
            self.note(
                "No row has arrived for a while, so following has stopped. Messages in the record queue are still "
                "processed."
            )
            if again:
                self.note(
                    "If rows are still missing when the record queue is empty, ingest the file again, which writes the "
                    "same items:"
                )
                self.line(f"  {again}", style="cyan")
        for error in outcome.errors:
            self.line(f"  {_printable(error[:_LOG_LINE_CHARACTERS])}", style="dim")

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
    def progress(self, rows: int) -> Iterator[Callable[[Snapshot], None]]:
        """Show the progress of `rows` rows; yield a function to call with each new snapshot."""
        if not self._console.is_terminal:
            yield self._plain_progress(rows)
            return
        cells = _BAR_CELLS if self._console.width >= _WIDE else _BAR_CELLS_NARROW
        # What remains after indent, spinner and bar. rich would shrink the bar to fit a longer text.
        room = self._console.width - len(_INDENT) - len("⠋ ") - cells - 1
        bar = Progress(
            TextColumn(_INDENT.removesuffix(" ")),
            SpinnerColumn(style="cyan"),
            BarColumn(cells, complete_style="cyan", finished_style="green", table_column=Column(width=cells)),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        )
        with bar:
            task = bar.add_task(shortened("waiting for the first rows", room), total=rows)

            def update(snapshot: Snapshot) -> None:
                text = shortened(_progress_text(snapshot), room)
                bar.update(task, completed=snapshot.written + snapshot.rejected, description=text)

            yield update

    def _plain_progress(self, rows: int) -> Callable[[Snapshot], None]:
        printed = 0.0

        def update(snapshot: Snapshot) -> None:
            nonlocal printed
            now = time.monotonic()
            if now - printed >= _LINE_SECONDS:
                printed = now
                self.line(f"… {_progress_text(snapshot)}")

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
                name,
                f"{outcome.rows:,}",
                Text(f"{outcome.written:,}", style="green" if outcome.complete else "red"),
                f"{outcome.rejected:,}",
                f"{outcome.seconds:,.1f}",
                f"{rate:,.0f}",
            )
        self._print_table(table)

    def remarks(self, outcome: Outcome) -> None:
        """Print what a person may not expect of the file, if anything: its columns, and rows that replace others."""
        ignored = [name if isinstance(name, str) else f"column {name}" for name in outcome.ignored]
        if ignored or outcome.absent:
            self.line()
        if ignored:
            self.note(f"Ignored, since the schema has no such column: {_listed(ignored)}")
        if outcome.absent:
            self.note(f"Absent from the file, so no row has a value of its own: {_listed(outcome.absent)}")
        for name, column in near_misses(outcome.ignored, outcome.absent):
            name = _printable(name)
            self.note(
                f"{name} is ignored, {column} is absent: is it the same column? If so, add an alias to the schema, "
                f'aliases = ["{name}"] under [columns.{column}], and ingest the file again.'
            )
        if outcome.replaced:
            least = "" if outcome.replaced_is_exact else "at least "
            self.line()
            self.note(f"Rows replaced by a later row of the file with the same key: {least}{outcome.replaced:,}")

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
            table.add_row(*cells)
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


def _producer_text(outcome: Outcome) -> str:
    said = outcome.said
    if said is None:
        return "The producer has logged nothing about this file, or its log cannot be read."
    if said.status == "complete":
        return f"The producer has sent all rows, in {counted(said.messages, 'message')}."
    ended = "has ended it as" if outcome.has_ended else "has not finished it; its last attempt was:"
    return f"The producer {ended} {said.status}: {said.reason or 'no reason given'}"


def _progress_text(snapshot: Snapshot) -> str:
    rows = "waiting for the first rows"
    if snapshot.written or snapshot.rejected:
        rejected = f" · {snapshot.rejected:,} rejected" if snapshot.rejected else ""
        rows = f"{snapshot.written:,} of {counted(snapshot.rows, 'row')}{rejected}"
    if snapshot.quiet >= _QUIET_SECONDS:
        missing = snapshot.rows - snapshot.written - snapshot.rejected
        rows += f" · {missing:,} missing, none arrived for {snapshot.quiet:.0f} s"
    queue = f" · {counted(snapshot.queued, 'message')} in the queue" if snapshot.queued or snapshot.written else ""
    return rows + queue
