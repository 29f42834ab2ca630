"""Parameters of `deploy/template.yaml`, checked by CloudFormation's rules before anything is built. Pure.

`known` is the template's `Parameters` section. The checks return one line for each problem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.deployment.images import FUNCTIONS
from engine.deployment.schema_file import PARAMETERS as SCHEMA_PARAMETERS

IMAGE_PARAMETERS = {function: f"{function.capitalize()}Image" for function in FUNCTIONS}
"""Function -> the parameter that names its image. The deployment sets these itself."""

ARCHITECTURE = "Architecture"
"""Set by an option of its own, because the images are built for it, too."""

REJECTS_PREFIX = "rejects/"
"""Where the template's functions put rejects."""

Known = Mapping[str, Mapping[str, Any]]


def defaults(known: Known) -> dict[str, str]:
    """Return the default of each parameter that has one."""
    return {name: str(each["Default"]) for name, each in known.items() if "Default" in each}


def unknown(names: Mapping[str, str], known: Known) -> list[str]:
    """Return problems with the names of parameters that a person sets."""
    settable = sorted(set(known) - set(IMAGE_PARAMETERS.values()) - {ARCHITECTURE} - set(SCHEMA_PARAMETERS))
    problems = []
    if of_schema := [name for name in names if name in SCHEMA_PARAMETERS]:
        problems.append(
            f"{', '.join(of_schema)} cannot be set alone: use --schema FILE, of which the images have a copy."
        )
    if ARCHITECTURE in names:
        problems.append(f"Use --architecture {names[ARCHITECTURE]}: the images are built for it, too.")
    if wrong := [name for name in names if name not in {*settable, ARCHITECTURE, *SCHEMA_PARAMETERS}]:
        problems.append(f"There is no parameter {', '.join(wrong)} to set. There are: {', '.join(settable)}.")
    return problems


def invalid(values: Mapping[str, str], known: Known) -> list[str]:
    """Return which values are outside what the template allows; names that it lacks are ignored."""
    problems = (_invalid(name, value, known[name]) for name, value in values.items() if name in known)
    return [problem for problem in problems if problem is not None]


def conflicts(values: Mapping[str, str], known: Known) -> list[str]:
    """Return which values, each valid alone, contradict each other; CloudFormation cannot express these rules.

    Parameters that `values` lacks have their defaults. Rules about a value that is invalid alone do not apply.
    """
    chosen = {**defaults(known), **values}

    def texts(*names: str) -> tuple[str, ...]:
        """Return the values of these parameters; none if one of them is invalid."""
        values = {name: chosen[name] for name in names}
        return () if invalid(values, known) else tuple(values.values())

    def numbers(*names: str) -> tuple[int, ...]:
        return tuple(map(int, texts(*names)))

    problems = []
    match numbers("WorkerTimeout", "QueueVisibilityTimeout"):
        case timeout, visibility if visibility < 6 * timeout:
            problems.append(
                "QueueVisibilityTimeout must be at least six times WorkerTimeout: "
                f"--parameter QueueVisibilityTimeout={6 * timeout}."
            )
    match numbers("WorkerBatchSize", "WorkerBatchWindow"):
        case size, 0 if size > 10:  # Lambda requires it
            problems.append(
                "A WorkerBatchSize of more than 10 needs a WorkerBatchWindow: --parameter WorkerBatchWindow=1."
            )
    match numbers("WorkerMinimumPollers", "WorkerMaximumPollers", "WorkerMaximumConcurrency"):
        case _, most, workers if most and str(workers) != defaults(known)["WorkerMaximumConcurrency"]:
            problems.append(
                "Lambda accepts either WorkerMaximumPollers or WorkerMaximumConcurrency, not both: "
                f"set one of them back by --parameter WorkerMaximumPollers=0 or --parameter WorkerMaximumConcurrency="
                f"{defaults(known)['WorkerMaximumConcurrency']}."
            )
        case fewest, most, _ if 0 < most < fewest:
            problems.append(
                f"WorkerMaximumPollers must be 0, which is none, or at least WorkerMinimumPollers, {fewest}."
            )
    match numbers("TableMaxWriteUnits"):
        case (0,):
            problems.append("TableMaxWriteUnits must be -1, which is no maximum, or at least 1.")
    match texts("UploadsPrefix", "SourceBucket"):
        case "", "":
            problems.append("UploadsPrefix cannot be empty for the stack's own bucket, which holds the rejects too.")
        case prefix, _ if prefix and (prefix.startswith(REJECTS_PREFIX) or REJECTS_PREFIX.startswith(prefix)):
            problems.append(
                f"UploadsPrefix {prefix!r} and the prefix of rejects, {REJECTS_PREFIX!r}, must not overlap."
            )
    return problems


def _invalid(name: str, value: str, known: Mapping[str, Any]) -> str | None:
    if allowed := known.get("AllowedValues"):
        if value not in map(str, allowed):
            return f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}."
    elif pattern := known.get("AllowedPattern"):
        if not re.fullmatch(pattern, value):
            return f"{name} cannot be {value!r}. {known['Description']}"
    elif known["Type"] == "Number":
        low, high = known["MinValue"], known["MaxValue"]
        if not re.fullmatch(r"-?[0-9]{1,9}", value) or not low <= int(value) <= high:
            return f"{name} must be a whole number from {low:,} to {high:,}, not {value!r}."
    return None
