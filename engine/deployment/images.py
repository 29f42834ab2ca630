"""The three container images: built from their Dockerfiles and pushed with Docker, Podman or Buildah."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine import __version__
from engine.deployment.interrupts import heard_at_once
from engine.deployment.schema_file import SchemaFile
from engine.errors import MillpondError

FUNCTIONS = ("producer", "worker", "query")

BUILDERS = ("docker", "podman", "buildah")
"""In order of preference."""

PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
"""Lambda's names of architectures -> platforms of container builders."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageError(MillpondError):
    """An image cannot be built or pushed; the message says which and what to do, in one line."""


def own_architecture() -> str:
    """Return this machine's architecture by Lambda's name."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What images are built from: a checkout, one of `PLATFORMS`, a base image, a schema file.

    `options` are passed to the builder.
    """

    checkout: Path
    architecture: str
    base_image: str
    options: Sequence[str] = ()
    schema: SchemaFile = field(default_factory=SchemaFile.packaged)

    def tag(self, function: str) -> str:
        """Return a tag that identifies what an image is built from: the same content has the same tag."""
        said = [__version__, self.architecture, self.base_image, self.schema.text, *self.options]
        hashed = hashlib.sha256("\0".join(said).encode())
        folders = [self.checkout / name for name in ("engine", "requirements", "deploy/image")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        for path in sorted([*files, self.checkout / f"Dockerfile.{function}", self.checkout / ".dockerignore"]):
            if "__pycache__" not in path.parts:
                hashed.update(f"{path.relative_to(self.checkout)}\0".encode() + path.read_bytes())
        return f"{__version__}-{hashed.hexdigest()[:16]}-{self.architecture.replace('_', '-')}"

    def schema_in_context(self) -> str:
        """Write the schema into the checkout, since builders copy nothing else; return its relative path."""
        digest = hashlib.sha256(self.schema.text.encode()).hexdigest()
        relative = f"build/schemas/{digest[:16]}.toml"
        if not (path := self.checkout / relative).is_file():  # another build may be reading it
            self.schema.write(path)
        return relative


@dataclass(frozen=True, slots=True)
class Builder:
    """One of `BUILDERS`, on the path and usable."""

    program: str

    @classmethod
    def find(cls, wanted: str | None = None) -> Builder:
        """Return the builder `wanted`, or the first usable one. Raises `ImageError`."""
        docker_fault: str | None = None
        for program in [wanted] if wanted else BUILDERS:
            if shutil.which(program) is None:
                continue
            if program != "docker":
                return cls(program)
            docker_fault = _docker_fault()
            if docker_fault is None:
                return cls(program)
        if docker_fault is not None:
            raise ImageError(docker_fault)
        if wanted:
            raise ImageError(f"{wanted} is not installed: install it, or choose another builder.")
        raise ImageError("No image builder found: install Docker, Podman or Buildah.")

    def build(self, function: str, tag: str, recipe: Recipe) -> None:
        """Build the image of one function as `tag`, with the builder's output shown. Raises `ImageError`."""
        arguments = {
            "BASE_IMAGE": recipe.base_image,
            "VERSION": __version__,
            "REVISION": _revision(recipe.checkout),
            "SCHEMA": recipe.schema_in_context(),
        }
        command = [self.program, "build", "--file", f"Dockerfile.{function}", "--tag", tag]
        command += ["--platform", PLATFORMS[recipe.architecture]]
        # Lambda accepts an image, not an index of images and attestations, which Docker makes by default.
        command += ["--provenance=false"] if self.program == "docker" else ["--layers"]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        command += [*recipe.options, "."]
        with heard_at_once():
            done = subprocess.run(command, cwd=recipe.checkout, check=False)  # noqa: S603 - no shell
        if done.returncode:
            raise ImageError(f"The image of the {function} was not built: see the output above.")

    def digest(self, image: str) -> str:
        """Pull an image and return its digest in the registry; for several platforms, the digest of the index.

        Raises `ImageError`.
        """
        done = _run([self.program, "pull", image])
        if done.returncode == 0 and self.program != "docker":  # `docker pull` prints it
            done = _run([self.program, "images", "--digests", "--format", "{{.Digest}}", image])
        digests: list[str] = _DIGEST.findall(done.stdout)
        if done.returncode or not digests:
            raise ImageError(
                f"The digest of {image} cannot be looked up: {_last_line(done.stderr)}. Name a base that is available "
                "with --base-image."
            )
        return digests[-1]

    def login(self, registry: str, user: str, password: str) -> None:
        """Log in to a registry. Raises `ImageError`."""
        done = _run([self.program, "login", "--username", user, "--password-stdin", registry], password)
        if done.returncode:
            raise ImageError(f"The login to {registry} failed: {_last_line(done.stderr)}")

    def push(self, tag: str, remote: str, options: Sequence[str] = ()) -> str:
        """Push the image `tag` as `remote` and return its digest. Raises `ImageError`."""
        with tempfile.TemporaryDirectory(prefix="millpond-") as folder:
            file = Path(folder) / "digest"
            if self.program == "docker":
                done = _run(["docker", "tag", tag, remote])
                done = _run(["docker", "push", *options, remote]) if done.returncode == 0 else done
                said = done.stdout
            else:
                command = [self.program, "push", *options, "--digestfile", str(file), tag, f"docker://{remote}"]
                done = _run(command)
                said = file.read_text() if file.exists() else ""
        digests: list[str] = _DIGEST.findall(said)
        if done.returncode or not digests:
            raise ImageError(f"{remote} was not pushed: {_last_line(done.stderr)}")
        return digests[-1]


def build_all(builder: Builder, recipe: Recipe, *, version: str = "latest") -> Mapping[str, str]:
    """Build the images of all functions; return their tags. Raises `ImageError`."""
    tags = {function: f"localhost/millpond-{function}:{version}" for function in FUNCTIONS}
    for function, tag in tags.items():
        builder.build(function, tag, recipe)
    return tags


def _docker_fault() -> str | None:
    """Return why the `docker` on the path cannot be used as Docker, or None if it can."""
    done = _run(["docker", "version"])
    if done.returncode:
        return (
            f"Docker is installed, but its engine does not answer ({_last_line(done.stderr)}). Start it: Docker "
            "Desktop, or `sudo systemctl start docker`."
        )
    if "podman" in done.stdout.lower():
        return "The command `docker` on this machine is Podman: choose --builder podman."
    return None


def _revision(checkout: Path) -> str:
    """Return the commit of a checkout, with ``-dirty`` appended if files differ; "unknown" without Git."""
    try:
        done = _run(["git", "-C", str(checkout), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"])
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _run(command: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
    with heard_at_once():
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False)  # noqa: S603 - no shell


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
