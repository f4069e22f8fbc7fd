"""The sample firm: a simulated services firm whose tables have a known truth."""

from training.sample.firm import simulate

__all__ = ["simulate"]
