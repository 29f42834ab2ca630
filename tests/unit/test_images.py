"""How images are built, named and pushed: by programs that only write down how they were called."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from engine.deployment.images import FUNCTIONS, Builder, ImageError, Recipe

CHECKOUT = Path(__file__).parents[2]
DIGEST = "sha256:" + "ab" * 32

RECORDER = """#!{python}
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps([*sys.argv[1:], sys.stdin.read() if "login" in sys.argv else ""]) + "\\n")
if "--digestfile" in sys.argv:
    open(sys.argv[sys.argv.index("--digestfile") + 1], "w").write("{digest}")
if sys.argv[1] in ("push", "manifest"):
    print("latest: digest: {digest} size: 1234")
print(os.environ.get("SAYS", ""))
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


def test_the_first_builder_that_works_is_taken(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="install Docker, Podman or Buildah"):
        Builder.find()
    recorder.add("buildah")
    assert Builder.find() == Builder("buildah")
    recorder.add("podman", "docker")
    assert Builder.find() == Builder("docker")
    monkeypatch.setenv("FAILS", "version")  # the engine does not run
    assert Builder.find() == Builder("podman")
    with pytest.raises(ImageError, match="docker is not here, or its engine does not run"):
        Builder.find("docker")
    monkeypatch.delenv("FAILS")
    monkeypatch.setenv(
        "SAYS", "Client: Podman Engine"
    )  # which calls itself docker as well, for those who are used to it
    assert Builder.find() == Builder("podman")


@pytest.mark.parametrize("program", ["docker", "podman", "buildah"])
def test_an_image_is_built_for_lambda(recorder: Recorder, program: str) -> None:
    recorder.add(program)
    Builder(program).build("worker", "tag:1", Recipe(CHECKOUT, "arm64", "base:1", ["--volume", "a:b"]))
    ((command, *words),) = recorder.calls
    assert (command, words[-4:-1]) == ("build", ["--volume", "a:b", "."])
    pairs = dict(pairwise(words))
    assert (pairs["--file"], pairs["--tag"], pairs["--platform"]) == ("Dockerfile.worker", "tag:1", "linux/arm64")
    assert "BASE_IMAGE=base:1" in words
    assert ("--provenance=false" in words) is (program == "docker")


@pytest.mark.parametrize("program", ["docker", "podman", "buildah"])
def test_a_pushed_image_is_known_by_its_digest(recorder: Recorder, program: str) -> None:
    recorder.add(program)
    builder = Builder(program)
    builder.login("registry.test", "AWS", "secret")
    assert builder.push("tag:1", "registry.test/worker:1") == DIGEST
    login = recorder.calls[0]
    assert "secret" not in login[:-1]  # other users of the machine see command lines
    assert login[-1] == "secret"


@pytest.mark.parametrize(
    ("step", "said"), [("build", "was not built"), ("push", "was not pushed"), ("login", "does not let us in")]
)
def test_what_fails_is_said(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, step: str, said: str) -> None:
    recorder.add("podman")
    monkeypatch.setenv("FAILS", step)
    builder = Builder("podman")
    steps: dict[str, Callable[[], object]] = {
        "build": lambda: builder.build("query", "t", Recipe(CHECKOUT, "x86_64")),
        "login": lambda: builder.login("registry.test", "AWS", "secret"),
        "push": lambda: builder.push("t", "registry.test/query:1"),
    }
    with pytest.raises(ImageError, match=said):
        steps[step]()


def test_a_tag_names_the_content(tmp_path: Path) -> None:
    for name in ("engine/handlers/a.py", "requirements/runtime.txt", "deploy/image/assemble.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    for name in (*(f"Dockerfile.{function}" for function in FUNCTIONS), ".dockerignore"):
        (tmp_path / name).write_text("1")

    def tag(architecture: str = "arm64", base_image: str | None = None, options: Sequence[str] = ()) -> str:
        return Recipe(tmp_path, architecture, base_image, options).tag("worker")

    first = tag()
    (tmp_path / "engine/__pycache__").mkdir()
    (tmp_path / "engine/__pycache__/a.pyc").write_text("x")
    assert tag() == first
    copy = tmp_path.with_name("elsewhere")
    shutil.copytree(tmp_path, copy)
    assert Recipe(copy, "arm64").tag("worker") == first
    assert len({first, tag("x86_64"), tag(base_image="other"), tag(options=["--build-arg", "A=1"])}) == 4
    (tmp_path / "engine/handlers/a.py").write_text("2")
    assert tag() != first
