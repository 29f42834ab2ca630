"""Results as JSON and Markdown, and the part of the README between its markers. Pure, but for the reading of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Summary, short
from benchmarks.harness import Line
from benchmarks.model import Question
from engine import prices

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

Answered = tuple[Question, list[Line]]

_SHARES = {"used", "refused_calls", "throttled_calls", "refused_rows", "unfairness"}


def as_json(answers: Sequence[Answered], machine: dict[str, Any], ceilings: dict[str, Any]) -> dict[str, Any]:
    """Return everything that was measured, each round of it."""
    return {
        "machine": machine,
        "ceilings": ceilings,
        "prices": {"as_of": prices.AS_OF.isoformat(), "sources": prices.SOURCES, "usd": prices.USD},
        "questions": [
            {
                "name": question.name,
                "title": question.title,
                "unit": question.unit,
                "entries": [_entry(line) for line in lines],
            }
            for question, lines in answers
        ],
    }


def _entry(line: Line) -> dict[str, Any]:
    return {
        "label": line.label,
        "contender": line.contender,
        "settings": line.settings,
        "missing": line.missing or None,
        "void": line.void,
        "unfinished": line.unfinished,
        "rounds": line.rounds,
        "summary": {
            name: {"median": figure.median, "low": figure.low, "high": figure.high}
            for name, figure in line.summary.items()
        },
    }


def as_markdown(answers: Sequence[Answered], machine: dict[str, Any], ceilings: dict[str, Any]) -> str:
    """Return tables of medians, each with its spread, and on what they were measured."""
    parts = [_about(machine), _ceilings(ceilings)]
    parts += [_question(question, lines) for question, lines in answers]
    parts.append(_settings(answers))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}; {versions}. {machine['placement']} "
        f"{machine['rounds']} interleaved rounds; a figure is their median, ± half of their range. "
        f"Commit {machine['revision']}. {_pulses(machine)}"
    )


def _pulses(machine: dict[str, Any]) -> str:
    """Tell how steady the machine was: a loop that is always the same, timed before each question."""
    pulses = machine.get("pulse_ms")
    if not pulses:
        return ""
    low, high = min(pulses.values()), max(pulses.values())
    return f"One and the same loop, timed before each question, took {low:.1f} to {high:.1f} ms."


def _ceilings(ceilings: dict[str, Any]) -> str:
    if not ceilings:
        return ""
    lines = ["| the server's own ceiling | calls/s | rows/s | load from |", "| --- | ---: | ---: | --- |"]
    for place, ceiling in ceilings.items():
        for name, figures in ceiling["operations"].items():
            calls, rows = short(figures["calls_per_second"]), short(figures["rows_per_second"])
            lines.append(f"| {name}, {place} | {calls} | {rows} | {ceiling['generator']} |")
    return "\n".join(lines)


def _question(question: Question, lines: Sequence[Line]) -> str:
    headings = [heading for _, heading in question.columns]
    first = next((line for line in lines if question.compare in line.summary), None) if question.compare else None
    if first is not None:
        headings.append(f"{first.label} is")
    table = [f"| {question.unit} | " + " | ".join(headings) + " |", "| --- |" + " ---: |" * len(headings)]
    for line in lines:
        if not line.summary:
            table.append(f"| {line.label} | {_why_nothing(line)} |" + " |" * (len(headings) - 1))
            continue
        cells = [_cell(name, line.summary.get(name)) for name, _ in question.columns]
        if first is not None:
            cells.append("" if line is first else _times(first, line, question.compare))
        lost = " (some rounds void)" if line.void else " (some rounds unfinished)" if line.unfinished else ""
        table.append(f"| {line.label}{lost} | " + " | ".join(cells) + " |")
    return f"### {question.title}\n\n{question.about}\n\n" + "\n".join(table)


def _why_nothing(line: Line) -> str:
    """Return why there are no figures, in one line."""
    if line.missing:
        return f"missing: {line.missing}"
    if line.unfinished:
        return f"unfinished: {line.unfinished[0]}"
    said = last_line(line.void[0]) if line.void else "no run"
    return "void: " + said.removeprefix("void: ").replace("|", "/")


def last_line(text: str) -> str:
    """Return the last line of why a run failed: before it may stand a whole traceback."""
    return text.strip().splitlines()[-1]


def _cell(name: str, figure: Summary | None) -> str:
    if figure is None:
        return "–"
    scale, sign = (100, " %") if name in _SHARES else (1, "")
    half = (figure.high - figure.low) / 2 * scale
    return f"{short(figure.median * scale)}{sign}" + (f" ± {short(half)}" if half else "")


def _times(first: Line, line: Line, name: str) -> str:
    if name not in line.summary or not line.summary[name].median:
        return "–"
    return f"{first.summary[name].median / line.summary[name].median:.1f}×"


def _settings(answers: Sequence[Answered]) -> str:
    known = {line.contender: (line.label, line.settings) for _, lines in answers for line in lines}
    rows = [f"- {contender}: {settings}" for contender, (_, settings) in known.items()]
    return "### Settings of the contenders\n\n" + "\n".join(rows)


def between_markers(readme: str, results: str) -> str:
    """Return the README with new results. Raises `ValueError` if it lacks the markers."""
    before, found, rest = readme.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"the README lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"
