"""Each target before its seeds, before every input that failed once, and before hundreds of inputs made of seeds."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.examples import examples
from tests.fuzz.inputs import inputs
from tests.fuzz.targets import NAMES, target

TRIED = 600


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name: str) -> None:
    chosen = target(name)
    for data in chosen.seeds:
        chosen.check(data)


@pytest.mark.parametrize(
    ("name", "example"), [(name, path.name) for name in NAMES for path in examples(name)] or [("reading", None)]
)
def test_inputs_that_failed_once(name: str, example: str | None) -> None:
    for path in examples(name):
        if path.name == example:
            target(name).check(path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_any_input(name: str) -> None:
    chosen = target(name)

    @settings(max_examples=TRIED, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(inputs(chosen))
    def check(data: bytes) -> None:
        chosen.check(data)

    check()
