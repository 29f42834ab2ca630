"""When to try again, how many calls at once, and how fast."""
