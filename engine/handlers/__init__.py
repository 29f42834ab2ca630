"""The three Lambda functions: wiring, no parsing."""

from __future__ import annotations

import gc

START_OBJECTS = 500_000
"""New container objects until Python's garbage collector runs during a cold start. Modules and clients create some ten
thousands, nearly all of which stay; one collection of them takes 10 to 30 ms."""

YOUNG_OBJECTS = 50_000
"""New container objects between two runs of the collector after that. By default it runs hundreds of times over the
rows of one event, which form no cycles unless something fails: up to half of the processor time. After a failure, whose
traceback refers to all objects of the invocation, `engine.handlers.runtime.Process` runs the collector explicitly."""

# Set before the imports below this package, and botocore's with them, create most of the long-lived objects.
gc.set_threshold(START_OBJECTS)
