"""Figures of our own promises, measured side by side and written into docs/performance.md."""
