"""A failure with as few files and kinds of faults as still fail the same way."""

from __future__ import annotations

import traceback
from typing import NamedTuple

from tests.simulate.plan import Plan
from tests.simulate.world import run_plan


class Failure(NamedTuple):
    """What a plan fails with."""

    plan: Plan
    kind: str
    """The exception's type and where it was raised: by that two failures are the same."""
    text: str
    trace: str


def failure_of(plan: Plan) -> Failure | None:
    """Run a plan; return what is wrong, if anything is."""
    try:
        run_plan(plan)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}"
        trace = "".join(traceback.format_exception(error))
        return Failure(plan, f"{type(error).__name__} at {where}", str(error), trace)
    return None


def shrunk(failure: Failure) -> Failure:
    """Leave out one file or kind of fault after the other while the failure stays the same."""
    is_smaller = True
    while is_smaller:
        is_smaller = False
        plan = failure.plan
        smaller = [plan.without_file(file.number) for file in plan.files if len(plan.files) > 1]
        smaller += [plan.without(kind) for kind in plan.faults]
        for each in smaller:
            found = failure_of(each)
            if found is not None and found.kind == failure.kind:
                failure, is_smaller = found, True
                break
    return failure


def command(plan: Plan) -> str:
    """Return the command that runs a plan, which may be a part of what its seed stands for."""
    files = ",".join(str(file.number) for file in plan.files)
    faults = ",".join(kind.replace(" ", "-") for kind in plan.faults) or "none"
    return f"make simulate ARGS='--seed {plan.seed} --files {files} --faults {faults}'"
