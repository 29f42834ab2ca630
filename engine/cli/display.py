"""What the command shows: on a terminal with a moving bar, elsewhere as plain lines that a log can keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from engine.cli.follow import Outcome, Snapshot
from engine.cli.rejects import RejectedRow

_INDENT = "  "
_LOG_LINE_CHARACTERS = 400
_EXAMPLE_CHARACTERS = 12
"""With less room than this an example row says nothing and is left out."""

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

    def pairs(self, rows: list[tuple[str, str]]) -> None:
        """Names and values under each other."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(Text.assemble(f"{_INDENT}{name:<{width}}  ", (value, "cyan")), soft_wrap=True)

    def done(self, text: str, seconds: float | None = None) -> None:
        """A step that is behind us."""
        took = "" if seconds is None else f"{seconds:8.1f} s"
        self._console.print(Text.assemble(_INDENT, ("✓ ", "green"), f"{text:<64}", (took, "dim")), soft_wrap=True)

    def failed(self, text: str) -> None:
        """Something that did not come out as it should."""
        self._console.print(Text.assemble(_INDENT, ("✗ ", "red"), text), soft_wrap=True)

    def missing(self, name: str, outcome: Outcome) -> None:
        """Say that rows of a file are neither written nor rejected, and what is known about why."""
        missing = outcome.rows - outcome.written - len(outcome.rejects)
        self.failed(
            f"{name}: of {outcome.rows:,} rows {outcome.written:,} are in the table and {len(outcome.rejects):,} "
            f"rejected: {missing:,} are not accounted for"
        )
        if outcome.failed_files > 0:
            self.line("  The producer gave up on the file; its event is in the queue of failures.")
        if outcome.dead_letters:
            self.line(f"  {outcome.dead_letters:,} messages are in the dead-letter queue.")
        for log_line in outcome.log_lines:
            self.line(f"  {_printable(log_line[:_LOG_LINE_CHARACTERS])}", style="dim")

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Show `doing` while the block runs, then `done` with the time it took."""
        began = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(doing, spinner="dots"):
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
        bar = Progress(
            TextColumn(_INDENT.removesuffix(" ")),
            SpinnerColumn(style="cyan"),
            BarColumn(bar_width=30, complete_style="cyan", finished_style="green"),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        )
        with bar:
            task = bar.add_task("waiting for the first rows", total=rows)

            def update(snapshot: Snapshot) -> None:
                bar.update(task, completed=snapshot.written or 0, description=_progress_text(snapshot))

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
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        table.add_column("file")
        for name in ("rows", "written", "rejected", "seconds", "records/s"):
            table.add_column(name, justify="right")
        for name, outcome in outcomes:
            rate = outcome.written / outcome.seconds if outcome.seconds else 0.0
            table.add_row(
                name,
                f"{outcome.rows:,}",
                Text(f"{outcome.written:,}", style="green" if outcome.complete else "red"),
                f"{len(outcome.rejects):,}",
                f"{outcome.seconds:,.1f}",
                f"{rate:,.0f}",
            )
        self._print_table(table)

    def reasons(self, rejects: list[RejectedRow]) -> None:
        """Why rows were rejected, how many each time, and which row was the first."""
        first: dict[str, RejectedRow] = {}
        counts: dict[str, int] = {}
        for reject in rejects:
            first.setdefault(reject.reason, reject)
            counts[reject.reason] = counts.get(reject.reason, 0) + 1
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        table.add_column("rejected because", no_wrap=True)
        table.add_column("rows", justify="right")
        # What the other two columns leave free; rich itself would rather squeeze the numbers out.
        digits = max(len("rows"), *(len(f"{count:,}") for count in counts.values()), 0)
        room = self._console.width - len(_INDENT) - max(map(len, first), default=0) - digits - 2 * len("   ")
        if room >= _EXAMPLE_CHARACTERS:
            table.add_column("the first of them", no_wrap=True)
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            example = _printable(f"row {first[reason].row}: {first[reason].record}")
            cells = [reason, f"{count:,}"]
            if room >= _EXAMPLE_CHARACTERS:
                cells.append(example if len(example) <= room else example[: room - 1] + "…")
            table.add_row(*cells)
        self._print_table(table)

    def json(self, text: str) -> None:
        """A JSON document as the API sent it."""
        for line in text.splitlines():
            self._console.print(Text(f"{_INDENT}{line}", style="cyan"), soft_wrap=True)

    def _print_table(self, table: Table) -> None:
        self._console.print(Padding(table, (0, 0, 0, len(_INDENT))))


def _printable(text: str) -> str:
    """Text of a stranger's file on one line: a terminal would obey the escape sequences in it."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _progress_text(snapshot: Snapshot) -> str:
    if snapshot.counting:
        return "counting the rows in the table"
    if not snapshot.written and not snapshot.queued:
        return "waiting for the first rows"
    waiting = f"{snapshot.queued:,} message{'s' * (snapshot.queued != 1)} waiting"
    if snapshot.written is None:
        return f"{snapshot.rows:,} rows · {waiting}"
    rate = snapshot.written / snapshot.seconds if snapshot.seconds else 0.0
    return f"{snapshot.written:,} of {snapshot.rows:,} rows in the table · {waiting} · {rate:,.0f} records/s"
