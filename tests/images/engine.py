"""What builds and runs images on this machine, and a Python to build them on where no public one can be had."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.deployment.images import Builder, ImageError

STAND_IN = "localhost/millpond-python-3.13"
SUITE = "trixie"  # Debian 13 has Python 3.13
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")

# Like the public image: `python` is there, and pip may install.
STAND_IN_DOCKERFILE = """
FROM scratch
ADD root.tar /
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python
"""


class NoEngine(Exception):
    """Images cannot be built or run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A builder, what it needs besides, and the command that runs containers."""

    builder: Builder
    base_image: str | None
    build_options: tuple[str, ...]
    run: tuple[str, ...]

    def output(self, *arguments: str) -> str:
        """Return what the running command prints."""
        done = subprocess.run([*self.run, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def size(self, image: str) -> int:
        """Return the bytes of all layers of an image."""
        return int(json.loads(self.output("image", "inspect", image))[0]["Size"])


def find_engine(folder: Path) -> Engine:
    """Return what this machine has; `folder` is for files that must last as long as the images are built.

    Raises `NoEngine`.
    """
    if platform.system() != "Linux":
        raise NoEngine("images are built and run on Linux alone here")
    named = os.environ.get("BASE_IMAGE")
    try:
        return Engine(Builder.find("docker"), named, (), ("docker",))
    except ImageError:
        pass
    needed = ["buildah", "podman", "runc", *([] if named else ["mmdebstrap"])]
    missing = [program for program in needed if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        why = f"{', '.join(missing)} missing" if missing else "Buildah needs root here"
        raise NoEngine(f"no Docker engine, and {why}")
    os.environ |= {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
    options = _authorities(folder)
    podman = ("podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc")
    return Engine(Builder.find("buildah"), named or _stand_in(), options, podman)


def _authorities(folder: Path) -> tuple[str, ...]:
    """Let pip trust inside the build whom this machine trusts; nothing of it stays in the image."""
    if not AUTHORITIES.is_file():
        return ()
    settings = folder / "pip.conf"
    settings.write_text(f"[global]\ncert = {AUTHORITIES}\n")
    return ("--volume", f"{AUTHORITIES}:{AUTHORITIES}:ro", "--volume", f"{settings}:/etc/pip.conf:ro")


def _stand_in() -> str:
    """Return a Python 3.13 from Debian's packages, made at the first call on a machine."""
    if _quiet(["buildah", "inspect", "--type", "image", STAND_IN]).returncode == 0:
        return STAND_IN
    with tempfile.TemporaryDirectory(prefix="millpond-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # mmdebstrap works as another user, too
        packages = "--include=ca-certificates,python3,python3-pip"
        made = _quiet(["mmdebstrap", "--variant=minbase", packages, SUITE, str(folder / "root.tar")])
        if made.returncode:
            raise NoEngine(f"Debian's packages for a Python 3.13 cannot be had: {made.stderr.strip()[-300:]}")
        (folder / "Dockerfile").write_text(STAND_IN_DOCKERFILE)
        built = _quiet(["buildah", "build", "--tag", STAND_IN, name])
        if built.returncode:
            raise NoEngine(f"no image can be built here: {built.stderr.strip()[-300:]}")
    return STAND_IN


def _quiet(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
