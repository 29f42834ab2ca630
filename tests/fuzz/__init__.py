"""Fuzzing: the engine before bytes that nobody expects.

Each module of `targets` has one function ``check(data: bytes) -> None``, which raises for what must not happen, the
files that it starts from, and words of its language. Two drivers call it. `test_targets` tries the same few hundred
inputs each time, and every input that once failed (``examples``). ``make fuzz`` looks for new ones: with Atheris, which
follows the coverage, where that is installed, otherwise with Hypothesis.
"""
