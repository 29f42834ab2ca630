"""How images are built, named and pushed: by programs that only write down how they were called."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from engine.cli.display import Display
from engine.cli.images import run_base_image, run_images
from engine.config import PACKAGED_SCHEMA
from engine.deployment import base
from engine.deployment.images import FUNCTIONS, Builder, ImageError, Recipe
from engine.deployment.schema_file import IMAGE_PATHS, SchemaFile
from tests.builders.samples import PRODUCTS_TOML

CHECKOUT = Path(__file__).parents[2]
DIGEST = "sha256:" + "ab" * 32

RECORDER = """#!{python}
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps([*sys.argv[1:], sys.stdin.read() if "login" in sys.argv else ""]) + "\\n")
if "--digestfile" in sys.argv:
    open(sys.argv[sys.argv.index("--digestfile") + 1], "w").write("{digest}")
if sys.argv[1] in ("push", "manifest", "pull"):
    print("latest: digest: {digest} size: 1234")
if sys.argv[1] == "images":
    print("{digest}")
print(os.environ.get("SAYS", ""))
print(os.environ.get("COMPLAINS", ""), file=sys.stderr)
sys.exit(int(os.environ.get("FAILS") == sys.argv[1]))
"""


class Recorder:
    """Builders that only write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.record = folder, folder / "record"

    def add(self, *programs: str) -> None:
        for program in programs:
            path = self.folder / program
            path.write_text(RECORDER.format(python=sys.executable, digest=DIGEST))
            path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()] if self.record.exists() else []


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RECORD", str(made.record))
    return made


def test_first_working_builder_is_used(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="No image builder found: install Docker, Podman or Buildah"):
        Builder.find()
    recorder.add("buildah")
    assert Builder.find() == Builder("buildah")
    recorder.add("podman", "docker")
    assert Builder.find() == Builder("docker")
    monkeypatch.setenv("FAILS", "version")  # the engine does not run
    assert Builder.find() == Builder("podman")
    monkeypatch.delenv("FAILS")
    monkeypatch.setenv(
        "SAYS", "Client: Podman Engine"
    )  # which calls itself docker as well, for those who are used to it
    assert Builder.find() == Builder("podman")


def test_stopped_docker_engine_is_named(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.add("docker")
    monkeypatch.setenv("FAILS", "version")
    monkeypatch.setenv("COMPLAINS", "Cannot connect to the Docker daemon. Is the docker daemon running?")
    for wanted in (None, "docker"):
        with pytest.raises(
            ImageError, match=r"Docker is installed, but its engine does not answer \(Cannot connect"
        ) as off:
            Builder.find(wanted)
        assert "Start it" in str(off.value)
        assert len(str(off.value).splitlines()) == 1


def test_missing_builder_is_named(recorder: Recorder) -> None:
    recorder.add("podman")
    with pytest.raises(ImageError, match="buildah is not installed"):
        Builder.find("buildah")


@pytest.mark.parametrize("program", ["docker", "podman", "buildah"])
def test_base_image_is_pinned_by_digest(recorder: Recorder, tmp_path: Path, program: str) -> None:
    recorder.add(program)
    file = tmp_path / base.FILE
    file.parent.mkdir(parents=True)
    file.write_text("registry.test:5000/library/python:3.13-slim\n")
    assert not base.is_pinned(base.base_image(tmp_path))
    pinned = base.pin(tmp_path, Builder(program))
    assert pinned == base.base_image(tmp_path) == f"registry.test:5000/library/python:3.13-slim@{DIGEST}"
    assert base.is_pinned(pinned)
    assert file.read_text() == f"{pinned}\n"  # the value that `--build-arg BASE_IMAGE=$(cat …)` takes
    file.write_text(f"registry.test:5000/library/python:3.13-slim@sha256:{'0' * 64}\n")
    assert base.pin(tmp_path, Builder(program)) == pinned  # moved
    assert all("registry.test:5000/library/python:3.13-slim" in call for call in recorder.calls)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of which only the base image matters, not pinned yet."""
    file = tmp_path / "checkout" / base.FILE
    file.parent.mkdir(parents=True)
    file.write_text("python:3.13\n")
    return tmp_path / "checkout"


def test_first_build_pins_base_image_and_later_builds_keep_it(recorder: Recorder, checkout: Path) -> None:
    recorder.add("podman")
    shown = io.StringIO()
    display = Display(Console(file=shown))
    for _ in range(2):
        assert run_images(display, checkout, architecture="arm64", base_image=None, builder="podman", options=[]) == 0
    assert [call[0] for call in recorder.calls] == ["pull", "images", *["build"] * 6]
    pinned = f"python:3.13@{DIGEST}"
    assert all(f"BASE_IMAGE={pinned}" in call for call in recorder.calls if call[0] == "build")
    assert shown.getvalue().count(f"{pinned}, recorded in {base.FILE}: commit it") == 1


def test_base_image_option_is_not_recorded(recorder: Recorder, checkout: Path) -> None:
    recorder.add("podman")
    display = Display(Console(file=io.StringIO()))
    run_images(display, checkout, architecture="arm64", base_image="mirror.test/python", builder=None, options=[])
    assert {call[0] for call in recorder.calls} == {"build"}
    assert all("BASE_IMAGE=mirror.test/python" in call for call in recorder.calls)
    assert base.base_image(checkout) == "python:3.13"


def test_base_image_command_moves_the_pin(recorder: Recorder, checkout: Path) -> None:
    recorder.add("buildah")
    (checkout / base.FILE).write_text(f"python:3.13@sha256:{'0' * 64}\n")
    shown = io.StringIO()
    display = Display(Console(file=shown))
    assert run_base_image(display, checkout, builder=None) == 0
    assert base.base_image(checkout) == f"python:3.13@{DIGEST}"
    assert f"Recorded in {base.FILE}: commit it" in shown.getvalue()
    assert run_base_image(display, checkout, builder=None) == 0
    assert "It has not changed." in shown.getvalue()


def test_shipped_base_image_is_public_python_of_lambda_version() -> None:
    assert base.base_image(CHECKOUT).partition("@")[0] == "public.ecr.aws/docker/library/python:3.13-slim"


@pytest.mark.parametrize("text", ["", "\n", "two words", "a\nb"])
def test_malformed_base_image_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImageError, match=r"base\.txt"):
        base.base_image(tmp_path)
    file = tmp_path / base.FILE
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(ImageError, match=r"base\.txt must hold one image name"):
        base.base_image(tmp_path)


def test_failed_digest_lookup_changes_nothing(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.add("podman")
    monkeypatch.setenv("FAILS", "pull")
    monkeypatch.setenv("COMPLAINS", "no route to host")
    file = tmp_path / base.FILE
    file.parent.mkdir(parents=True)
    file.write_text("python:3.13\n")
    with pytest.raises(ImageError, match=r"python:3\.13 .*no route to host.* --base-image"):
        base.pin(tmp_path, Builder("podman"))
    assert file.read_text() == "python:3.13\n"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_dockerfiles_name_no_base_image(function: str) -> None:
    lines = (CHECKOUT / f"Dockerfile.{function}").read_text().splitlines()
    assert "ARG BASE_IMAGE" in lines  # without a value: a build that names none fails
    assert {line for line in lines if line.startswith("FROM")} == {"FROM ${BASE_IMAGE} AS build", "FROM ${BASE_IMAGE}"}


@pytest.mark.parametrize("program", ["docker", "podman", "buildah"])
def test_image_is_built_for_lambda(recorder: Recorder, program: str) -> None:
    recorder.add(program)
    Builder(program).build("worker", "tag:1", Recipe(CHECKOUT, "arm64", "base:1", ["--volume", "a:b"]))
    ((command, *words),) = recorder.calls
    assert (command, words[-4:-1]) == ("build", ["--volume", "a:b", "."])
    pairs = dict(pairwise(words))
    assert (pairs["--file"], pairs["--tag"], pairs["--platform"]) == ("Dockerfile.worker", "tag:1", "linux/arm64")
    assert "BASE_IMAGE=base:1" in words
    assert ("--provenance=false" in words) is (program == "docker")


def test_schema_is_copied_to_where_the_builder_sees_it(recorder: Recorder, checkout: Path) -> None:
    recorder.add("buildah")
    seen = set()
    for schema in (SchemaFile.packaged(), SchemaFile.read(PRODUCTS_TOML)):
        Builder("buildah").build("worker", "tag:1", Recipe(checkout, "arm64", "base:1", schema=schema))
        (argument,) = [word for word in recorder.calls[-1] if word.startswith("SCHEMA=")]
        copy = checkout / argument.removeprefix("SCHEMA=")
        assert copy.read_text() == schema.text
        assert copy.stat().st_mode & 0o777 == 0o644  # the function is another user
        seen.add(copy)
    assert len(seen) == 2
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert f"!{copy.parent.relative_to(checkout)}" in ignored


@pytest.mark.parametrize("function", FUNCTIONS)
def test_schema_comes_last_so_that_another_one_rebuilds_nothing_else(function: str) -> None:
    lines = (CHECKOUT / f"Dockerfile.{function}").read_text().splitlines()
    default = PACKAGED_SCHEMA.relative_to(CHECKOUT)
    start = lines.index(f"ARG SCHEMA={default}")
    assert lines[start + 1] == f"COPY ${{SCHEMA}} {IMAGE_PATHS[False]}"
    assert not any(line.startswith(("RUN", "FROM")) for line in lines[start:])


@pytest.mark.parametrize("program", ["docker", "podman", "buildah"])
def test_push_returns_digest(recorder: Recorder, program: str) -> None:
    recorder.add(program)
    builder = Builder(program)
    builder.login("registry.test", "AWS", "secret")
    assert builder.push("tag:1", "registry.test/worker:1") == DIGEST
    login = recorder.calls[0]
    assert "secret" not in login[:-1]  # other users of the machine see command lines
    assert login[-1] == "secret"


@pytest.mark.parametrize(
    ("step", "said"), [("build", "was not built"), ("push", "was not pushed"), ("login", "The login to .* failed")]
)
def test_failed_step_is_named(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, step: str, said: str) -> None:
    recorder.add("podman")
    monkeypatch.setenv("FAILS", step)
    builder = Builder("podman")
    steps: dict[str, Callable[[], object]] = {
        "build": lambda: builder.build("query", "t", Recipe(CHECKOUT, "x86_64", "base:1")),
        "login": lambda: builder.login("registry.test", "AWS", "secret"),
        "push": lambda: builder.push("t", "registry.test/query:1"),
    }
    with pytest.raises(ImageError, match=said):
        steps[step]()


def test_tag_depends_on_content(tmp_path: Path) -> None:
    for name in ("engine/handlers/a.py", "requirements/functions.txt", "deploy/image/assemble.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    for name in (*(f"Dockerfile.{function}" for function in FUNCTIONS), ".dockerignore"):
        (tmp_path / name).write_text("1")

    def tag(architecture: str = "arm64", base_image: str = "base:1", options: Sequence[str] = ()) -> str:
        return Recipe(tmp_path, architecture, base_image, options).tag("worker")

    first = tag()
    (tmp_path / "engine/__pycache__").mkdir()
    (tmp_path / "engine/__pycache__/a.pyc").write_text("x")
    assert tag() == first
    copy = tmp_path.with_name("elsewhere")
    shutil.copytree(tmp_path, copy)
    assert Recipe(copy, "arm64", "base:1").tag("worker") == first
    assert len({first, tag("x86_64"), tag(base_image="other"), tag(options=["--build-arg", "A=1"])}) == 4
    schema = SchemaFile.read(PRODUCTS_TOML)
    assert Recipe(tmp_path, "arm64", "base:1", schema=schema).tag("worker") not in (first, tag("x86_64"))
    assert Recipe(tmp_path, "arm64", "base:1", schema=SchemaFile.read(PACKAGED_SCHEMA)).tag("worker") == first
    (tmp_path / "engine/handlers/a.py").write_text("2")
    assert tag() != first
