"""Revenue leaks: which billing records are under-billed, and by how much."""
