"""The unit tests on the Python of the images, in a container of their base."""

import subprocess

from engine.deployment.base import base_image
from engine.deployment.checkout import CHECKOUT
from tests.images.conftest import ULIMITS
from tests.images.engine import Engine

TAG = "localhost/millpond-unit"
"""Always the same tag and never removed: the next run finds its packages installed."""

IN_CONTAINER = (
    "--network", "none", "--read-only", "--tmpfs", "/tmp", *ULIMITS,  # noqa: S108 - gone with the container
    "--volume", f"{CHECKOUT}:/checkout:ro", "--workdir", "/checkout",
    "--env", "HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis",
)  # fmt: skip


def test_unit_tests_pass_on_the_python_of_the_images(engine: Engine) -> None:
    program = engine.builder.program
    layers = [] if program == "docker" else ["--layers"]
    base = engine.base_image or base_image(CHECKOUT)
    build = [program, "build", "--file", "tests/images/Dockerfile.unit", "--build-arg", f"BASE_IMAGE={base}", *layers]
    subprocess.run([*build, *engine.build_options, "--tag", TAG, "."], cwd=CHECKOUT, check=True)
    pytest_ = ["python", "-m", "pytest", "tests/unit", "--numprocesses", "2", "-p", "no:cacheprovider"]
    run = [*engine.run, "run", "--rm", *IN_CONTAINER, TAG, *pytest_]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "-- Python 3.13." in done.stdout
    print(f"\nunit tests on Python 3.13: {done.stdout.splitlines()[-1].strip('= ')}")
