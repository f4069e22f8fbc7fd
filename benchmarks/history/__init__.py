"""The history over millions of predictions, beside DuckDB by hand."""
