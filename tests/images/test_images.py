"""What the images hold and how they are made."""

import json
import subprocess

import pytest

from engine import __version__
from engine.deployment.checkout import CHECKOUT
from engine.deployment.images import FUNCTIONS
from tests.images.conftest import HARDENED, Images

LINTER = CHECKOUT / ".venv-images" / "bin" / "hadolint"
MOST_BYTES = 50_000_000

# What each image may import of its own, and what it must not even hold.
LOOK = """
import importlib.util, json, os, shutil, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
try:
    open("/opt/millpond/written", "w")
    writable = True
except OSError:
    writable = False
print(json.dumps({
    "there": [name for name in sys.argv[1:] if there(name)],
    "commands": [name for name in ("pip", "pip3", "pip3.13") if shutil.which(name)],
    "user": os.getuid(), "writable": writable, "python": sys.version_info[:2],
}))
"""
NOWHERE = ("pip", "setuptools", "ensurepip", "engine.cli", "engine.local", "engine.deployment", "pytest", "rich")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dockerfiles_are_linted(name: str) -> None:
    done = subprocess.run([LINTER, f"Dockerfile.{name}"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_image_contains_only_what_its_handler_needs(images: Images, name: str) -> None:
    handlers = [f"engine.handlers.{each}" for each in FUNCTIONS]
    general = ["aioboto3", "boto3", "s3transfer"]
    names = [*NOWHERE, *handlers, *general]
    printed = images.engine.output(
        "run", "--rm", "--network", "none", *HARDENED, "--entrypoint", "python", images.tags[name], "-c", LOOK, *names
    )
    seen = json.loads(printed)
    assert seen["there"] == [f"engine.handlers.{name}"]
    assert seen["commands"] == []
    assert (seen["user"], seen["writable"], seen["python"]) == (65532, False, [3, 13])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_application_layers_are_small(images: Images, name: str) -> None:
    base = images.engine.base_image
    if base is None:
        pytest.skip("the base image is in the builder's own store")
    added = images.engine.size(images.tags[name]) - images.engine.size(base)
    images.figures.append(f"{name}: {added / 1e6:.1f} MB on top of Python")
    assert 1_000_000 < added <= MOST_BYTES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_image_has_labels_and_lambda_settings(images: Images, name: str) -> None:
    (described,) = json.loads(images.engine.output("image", "inspect", images.tags[name]))
    settings = described["Config"]
    labels = {key.rpartition(".")[2]: value for key, value in settings["Labels"].items()}
    assert (labels["title"], labels["version"]) == (f"millpond-{name}", __version__)
    assert len(labels["revision"].partition("-")[0]) == 40 or labels["revision"] == "unknown"
    assert settings["Entrypoint"] == ["python", "-m", "awslambdaric"]
    assert settings["Cmd"] == [f"engine.handlers.{name}.handler"]
    assert settings["User"] == "65532:65532"
