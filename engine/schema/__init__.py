"""What a row must look like, and what item it becomes. Pure."""
