"""The steps, in the order of their numbers. A step only adds: versions can be rolled over."""
