"""The long run of `make fuzz`: one target after the other, for so many seconds each.

    python -m tests.fuzz                               all targets, a minute each
    python -m tests.fuzz --target reading --minutes 10

An input that fails is kept in ``tests/fuzz/examples/TARGET``, where the tests find it, and the run ends. What Atheris
learns of a target is kept in ``.fuzz/TARGET`` for its next run.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import CREDENTIALS
from tests.fuzz.examples import EXAMPLES, keep
from tests.fuzz.targets import NAMES, target

CORPUS = Path(".fuzz")
INPUT_SECONDS = 20
"""Longer than any input takes by a factor of a hundred, on a busy machine too."""

INPUT_MEGABYTES = 1_024


def main() -> int:
    """Fuzz the targets; the exit status is 1 if an input failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Look for inputs that the engine does not expect.")
    parser.add_argument("--target", action="append", choices=NAMES, help="which one (all); may be repeated")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--minutes", type=int, help="for each target, instead of seconds")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices (1)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60 if arguments.minutes else arguments.seconds
    run = _atheris if find_spec("atheris") else _hypothesis
    if arguments.here:
        os.environ.update(CREDENTIALS)
        logging.disable()
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - metrics, which would be all that is seen
        run(arguments.target[0], seconds, arguments.seed)
        return 0
    if run is _hypothesis:
        print("Atheris is not installed: Hypothesis alone, which does not see the coverage", flush=True)
    failed = []
    for name in arguments.target or NAMES:
        # A process of its own: Atheris ends it, and follows only what is imported after it.
        command = [sys.executable, "-m", "tests.fuzz", "--here", "--target", name]
        command += ["--seconds", str(seconds), "--seed", str(arguments.seed)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing found", flush=True)
    return bool(failed)


def _atheris(name: str, seconds: int, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["engine"]):
        chosen = target(name)
    corpus, kept = CORPUS / name, EXAMPLES / name
    kept.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(chosen.seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    words = corpus.with_suffix(".dict")
    words.write_text("".join(f'"{_escaped(token)}"\n' for token in chosen.tokens))
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={INPUT_SECONDS}",
        f"-report_slow_units={INPUT_SECONDS}",
        f"-rss_limit_mb={INPUT_MEGABYTES}",
        f"-dict={words}",
        "-max_len=4096",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix={kept}/",
    ]
    print(f"{name}: {seconds} s with Atheris", file=sys.stderr)
    atheris.Setup([sys.argv[0], *options, str(corpus)], chosen.check)
    atheris.Fuzz()


def _escaped(token: bytes) -> str:
    """Write a token as libFuzzer reads it in a file of words."""
    return "".join(f"\\x{byte:02x}" for byte in token)


def _hypothesis(name: str, seconds: int, seed: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from tests.fuzz.inputs import inputs

    chosen = target(name)
    print(f"{name}: {seconds} s with Hypothesis", file=sys.stderr)
    tried = rounds = 0
    failing = b""

    def check(data: bytes) -> None:
        nonlocal tried, failing
        tried += 1
        try:
            chosen.check(data)
        except BaseException:
            failing = data  # the last one is the smallest that was found
            raise

    options = settings(
        max_examples=500,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rounds += 1
        try:
            seeded(seed * 1_000_003 + rounds)(options(given(inputs(chosen))(check)))()
        except BaseException:
            if failing:
                print(f"{name}: kept as {keep(name, failing)}", file=sys.stderr)
            raise
    print(f"{name}: {tried:,} inputs", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
