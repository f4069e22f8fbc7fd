"""Answers questions about the log, with DuckDB; for the historian alone."""
