"""The local AWS: start it (`server`), fit the production template to it (`packaging`), deploy it (`stack`)."""

STACK_NAME = "millpond"
"""The name of the stack, here and in production, unless told otherwise."""
