"""From a checkout to production.

The base image (`base`), the images (`images`), their repositories (`registry`), the parameters of the template
(`parameters`), templates as data (`template`), stacks by change sets (`stacks`), and the
parts of a deployed one (`stack`).
"""

STACK_NAME = "millpond"
"""The name of the stack, here and in production, unless told otherwise."""
