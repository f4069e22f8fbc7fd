"""The front door beside its rivals: ``python -m benchmarks.front``."""
