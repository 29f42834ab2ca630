"""How fast, how small and how cheap Millpond is, beside the usual ways, in one run; see README.md."""
