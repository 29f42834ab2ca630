"""Every setting, parameter, command, option, exit code, status, metric and alarm is documented."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import errors
from engine.cli.command import parser
from engine.deployment.template import read_template
from engine.jobs import object_run
from engine.metrics import NAMESPACE
from engine.reading.format import Format
from engine.schema.column_settings import COMMON_SETTINGS, OWN_SETTINGS
from engine.schema.date_forms import NAMED
from engine.schema.dates import OUTPUTS
from engine.schema.model import GENERATED_KINDS

CHECKOUT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text("utf-8") for path in (CHECKOUT / "docs").glob("*.md")}
TEMPLATE = read_template((CHECKOUT / "deploy" / "template.yaml").read_text("utf-8"))


def section(page: str, heading: str) -> str:
    """The text below a heading of the second level; empty if there is none."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", DOCS[page], re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def variables() -> list[str]:
    """Return the environment variables that the functions read; only `config` reads them."""
    source = (CHECKOUT / "engine" / "config.py").read_text("utf-8")
    return sorted(set(re.findall(r'(?:env, |env\.get\()"([A-Z][A-Z_]+)"', source)))


def test_variables_are_found() -> None:
    assert {"QUEUE_URL", "TABLE_NAME", "SCHEMA", "RECORD_TTL_DAYS"} <= set(variables())


@pytest.mark.parametrize("name", variables())
def test_environment_variable_is_documented(name: str) -> None:
    assert f"| `{name}`" in DOCS["configuration.md"] or f"`{name}`," in DOCS["configuration.md"]


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_template_parameter_is_documented(name: str) -> None:
    assert f"| `{name}` |" in DOCS["configuration.md"]


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, and of each action of those that have several."""
    return dict(below(parser()))


def below(command: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, choice in action.choices.items():
                yield f"{name}{word}", choice
                yield from below(choice, f"{name}{word} ")


OPTIONS = [
    (name, option)
    for name, command in commands().items()
    for action in command._actions
    for option in action.option_strings
    if option.startswith("--") and option != "--help"
]


@pytest.mark.parametrize("name", commands())
def test_command_is_documented(name: str) -> None:
    own = section("cli.md", f"millpond {name.split()[0]}")
    assert own
    assert " " not in name or f"`millpond {name}" in own


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_option_is_documented(name: str, option: str) -> None:
    assert re.search(rf"`{option}[ `]", section("cli.md", f"millpond {name.split()[0]}"))


def test_exit_codes_are_documented() -> None:
    stated = re.findall(r"(\d+) [a-z]", parser().epilog or "")
    assert stated
    assert stated == re.findall(r"^\| (\d+) \|", DOCS["cli.md"], re.MULTILINE)


def statuses() -> set[str]:
    """Return the statuses that an ingestion can end with."""
    raised = {each.status for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "status")}
    closed = set(re.findall(r'close\("(\w+)"', Path(object_run.__file__).read_text("utf-8")))
    return {status for status in raised if isinstance(status, str)} | closed


def test_statuses_are_found() -> None:
    assert {"complete", "skipped", "failed", "gone", "superseded"} <= statuses()


@pytest.mark.parametrize("status", sorted(statuses()))
def test_status_is_documented(status: str) -> None:
    assert f"| `{status}` |" in section("failures.md", "What an ingestion ends as")


def metrics() -> set[str]:
    """The metrics that the jobs write."""
    sources = [path.read_text("utf-8") for path in (CHECKOUT / "engine" / "jobs").glob("*.py")]
    return {name for source in sources for name in re.findall(r'^ +"([A-Z][a-z]+[A-Z]\w+)":', source, re.MULTILINE)}


def test_metrics_are_found() -> None:
    assert {"ObjectsFailed", "RowsWritten"} <= metrics()


@pytest.mark.parametrize("name", sorted(metrics()))
def test_metric_is_documented(name: str) -> None:
    assert f"`{name}`" in section("deploy.md", "Metrics and alarms")
    assert NAMESPACE in section("deploy.md", "Metrics and alarms")


def alarms() -> list[str]:
    """The alarms of the template."""
    return [name for name, each in TEMPLATE["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"]


@pytest.mark.parametrize("name", alarms())
def test_alarm_is_documented(name: str) -> None:
    assert f"| `{name}` |" in section("deploy.md", "Metrics and alarms")


SETTINGS = {"collection", "unknown_columns", "null_values", "empty", "conflict", "[computed]", "[constants]", "[key]"}
SETTINGS |= COMMON_SETTINGS.union(*OWN_SETTINGS.values())


@pytest.mark.parametrize("name", sorted({*SETTINGS, *OWN_SETTINGS, *GENERATED_KINDS, *OUTPUTS, *NAMED}))
def test_schema_setting_is_documented(name: str) -> None:
    assert re.search(rf"`[^`]*{re.escape(name)}[^`]*`", DOCS["schema.md"].partition("## I want")[2])


def test_links_have_targets() -> None:
    pages = {**DOCS, "README.md": (CHECKOUT / "README.md").read_text("utf-8")}
    for page, text in pages.items():
        folder = CHECKOUT if page == "README.md" else CHECKOUT / "docs"
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
            linked = folder / target if target else folder / page
            assert linked.exists(), f"{page} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
                assert anchor in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings], page


@pytest.mark.parametrize("key", sorted(Format.__dataclass_fields__))
def test_key_of_format_is_documented(key: str) -> None:
    assert re.search(rf"^{key} = ", DOCS["formats.md"], re.MULTILINE) or f"`{key}" in DOCS["formats.md"]
