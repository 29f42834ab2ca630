"""Records <-> SQS message bodies. Pure."""
