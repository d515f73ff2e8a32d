"""Benchmarks: ``cases`` says what is timed, asv and ``compare`` time it."""
