"""Millpond: every row of a file in S3 into DynamoDB, once, fast, accounted for.

The modules read in the order in which a record travels: objects -> records -> messages -> queues, then
items -> table, and queries for reading back. ``docs/architecture.md`` has the map.
"""

__version__ = "0.1.0"
