"""Bytes of an object -> blocks of records. Pure."""
