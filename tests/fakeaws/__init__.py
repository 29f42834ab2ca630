"""The one stand-in for S3, SQS and DynamoDB that tests and benchmarks share.

Models of the services are pure: no sockets, no event loop, and the time comes in as an argument. Around them are three
fronts: sockets for benchmarks, fault plans for tests, and in-memory transports that also run under virtual time.
What is not modelled answers with an error that says so.
"""
