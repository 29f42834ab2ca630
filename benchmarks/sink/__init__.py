"""A stand-in for S3, SQS and DynamoDB that is faster than any client here, and counts exactly what it got.

It keeps real what a client could gain by cheating on: signatures, the limits of batches, duplicate keys, checksums. It
stores nothing. A process of its own: ``python -m benchmarks.sink --help``.
"""
