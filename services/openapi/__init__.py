"""The page ``/openapi.json``: made from contracts, typed routes and error classes."""
