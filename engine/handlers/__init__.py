"""The three Lambda functions: wiring, no parsing."""
