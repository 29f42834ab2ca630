"""The three Lambda functions: wiring, no parsing."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""New container objects between two runs of Python's garbage collector. By default it runs hundreds of times over the
rows of one event, which form no cycles unless something fails: up to half of the processor time. During a cold start,
one full collection takes 20 to 30 ms. After a failure, whose traceback refers to all objects of the invocation,
`engine.handlers.runtime.Process` runs the collector explicitly."""

# Set before the imports below this package, and botocore's with them, create most of the long-lived objects.
gc.set_threshold(YOUNG_OBJECTS)
