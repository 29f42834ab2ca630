"""What the command shows: on a terminal with a moving bar, elsewhere as plain lines that a log can keep."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
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
from engine.cli.words import counted, shortened

_INDENT = "  "
_LOG_LINE_CHARACTERS = 400
_EXAMPLE_CHARACTERS = 40
"""With less room than this an example row says nothing and is left out."""

_WIDE = 80
"""Columns of an ordinary terminal; on a narrower one everything moves together."""

_BAR_CELLS, _BAR_CELLS_NARROW = 20, 8
_DONE_CHARACTERS = 64
_SECONDS_CHARACTERS = 8

_QUIET_SECONDS = 5.0
"""After this long without a new row the progress line says so."""

_LINE_SECONDS = 2.0
"""How often a progress line appears where there is no terminal."""


class Display:
    """Everything that is printed goes through here."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to `console` (None: standard output)."""
        self._console = console or Console(highlight=False)

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self._console.print()
        self._console.print(Text(f"{_INDENT}{text}", style="bold"))
        self._console.print()

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line as it is: never wrapped or cut, so that it can be copied."""
        self._console.print(Text(f"{_INDENT}{text}", style=style) if text else "", soft_wrap=True)

    def resource(self, name: str, status: str) -> None:
        """What CloudFormation says of one resource."""
        self.note(f"{status.lower():24} {name}")

    def pairs(self, rows: list[tuple[str, str]]) -> None:
        """Names and values under each other."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(Text.assemble(f"{_INDENT}{name:<{width}}  ", (value, "cyan")), soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark, wrapped where the terminal ends."""
        self._console.print(Text(f"{_INDENT}{self._wrapped(text, len(_INDENT))}", style="dim"), soft_wrap=True)

    def done(self, text: str, seconds: float | None = None) -> None:
        """A step that is behind us."""
        took = "" if seconds is None else f"{seconds:{_SECONDS_CHARACTERS - 2}.1f} s"
        indent = len(_INDENT) + 2
        room = max(min(_DONE_CHARACTERS, self._console.width - indent - _SECONDS_CHARACTERS), 1)
        text = self._wrapped(text, indent, len(took))
        padding = " " * (room - len(text.splitlines()[-1].strip())) if took else ""
        self._console.print(Text.assemble(_INDENT, ("✓ ", "green"), text, padding, (took, "dim")), soft_wrap=True)

    def failed(self, text: str) -> None:
        """Something that did not come out as it should."""
        text = self._wrapped(text, len(_INDENT) + 2)
        self._console.print(Text.assemble(_INDENT, ("✗ ", "red"), text), soft_wrap=True)

    def missing(self, name: str, outcome: Outcome, again: str | None) -> None:
        """Say that rows of a file are missing, and what is known about the cause.

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
            self.note("No row has come for a while, so following has stopped. What is in the record queue goes on.")
            if again:
                self.note("To read the file once more, which writes the same items, when the record queue is empty:")
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
        """Show how `rows` rows get into the table; call what this yields with each new snapshot."""
        if not self._console.is_terminal:
            yield self._plain_progress(rows)
            return
        cells = _BAR_CELLS if self._console.width >= _WIDE else _BAR_CELLS_NARROW
        # Behind indent, spinner and bar; what the text has too much, rich would take from the bar.
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
        """One line for each file: rows, written, rejected, seconds, records/s."""
        # On a narrow terminal it is the file's name that gives way, never a number.
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

    def reasons(self, reasons: list[Reason]) -> None:
        """Why rows were rejected: how many for each reason, and the first of them."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        table.add_column("rejected because")
        table.add_column("rows", justify="right", no_wrap=True)
        # Whatever the other two columns leave free; rich would shorten the numbers first.
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

    def json(self, text: str) -> None:
        """A JSON document as the API sent it."""
        for line in text.splitlines():
            depth = len(_INDENT) + len(line) - len(line.lstrip())
            text = self._wrapped(line.lstrip(), depth, hanging=len(_INDENT))
            self._console.print(Text(f"{' ' * depth}{text}", style="cyan"), soft_wrap=True)

    def _wrapped(self, text: str, indent: int, behind: int = 0, *, hanging: int = 0) -> str:
        """Text that begins in column `indent`, broken so that it and `behind` more characters fit the terminal.

        Further lines begin `hanging` columns further in. Where there is no terminal a line stays whole, for a log.
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
    """Text of a stranger's file on one line: a terminal would obey the escape sequences in it."""
    return "".join(character if character.isprintable() else "·" for character in text)


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
        rows += f" · {missing:,} missing, none came for {snapshot.quiet:.0f} s"
    queue = f" · {counted(snapshot.queued, 'message')} in the queue" if snapshot.queued or snapshot.written else ""
    return rows + queue
