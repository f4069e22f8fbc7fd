"""Releases: from the registry to disk, and what is told of them."""
