"""Schemas: what a row must look like, and which item it becomes. Pure."""
