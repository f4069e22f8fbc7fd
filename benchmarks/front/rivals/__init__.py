"""The servers that the platform is held against, each run in an environment of its own."""
