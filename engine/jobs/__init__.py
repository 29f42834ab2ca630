"""The work of each function: what a handler or a command calls."""
