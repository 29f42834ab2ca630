"""From a checkout to production.

The base image (`base`), the images (`images`), their repositories (`registry`), the parameters of the template
(`parameters`), stacks by change sets (`stacks`).
"""
