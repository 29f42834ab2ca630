"""Images pushed to a real registry, and pulled again by the digest that the template would get."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.deployment.images import FUNCTIONS, Builder, ImageError
from engine.local.server import answers
from tests.images.conftest import Images, free_port

SETTINGS = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of an empty registry on this machine."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    port = free_port()
    settings = tmp_path / "registry.yaml"
    settings.write_text(SETTINGS.format(folder=tmp_path / "images", port=port))
    process = subprocess.Popen([program, "serve", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while not answers(port, "/v2/"):
            assert time.monotonic() < end, "the registry does not answer"
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def insecure(builder: Builder) -> list[str]:
    """What lets a builder speak plain HTTP; Docker does with this machine's own addresses without being told."""
    return [] if builder.program == "docker" else ["--tls-verify=false"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pushed_image_is_pulled_by_digest(images: Images, registry: str, name: str) -> None:
    builder, remote = images.engine.builder, f"{registry}/millpond-{name}"
    digest = builder.push(images.tags[name], f"{remote}:1", insecure(builder))
    assert builder.push(images.tags[name], f"{remote}:2", insecure(builder)) == digest  # the same image
    images.engine.output("pull", *insecure(builder), f"{remote}@{digest}")
    try:
        pulled, built = (
            images.engine.output("image", "inspect", "--format", "{{.Id}}", image)
            for image in (f"{remote}@{digest}", images.tags[name])
        )
        assert pulled == built
    finally:
        images.engine.output("untag" if images.engine.run[0] == "podman" else "rmi", f"{remote}@{digest}")


def test_missing_registry_is_named(images: Images) -> None:
    builder = images.engine.builder
    with pytest.raises(ImageError, match="was not pushed"):
        builder.push(images.tags["query"], "127.0.0.1:1/millpond-query:1", insecure(builder))
