"""The `septet` command: one module for each of its words."""
