"""The processes that are measured. Each reads a specification (a JSON file) and prints one line of JSON."""
