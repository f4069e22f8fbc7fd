"""From a table to a gated release: source, frame, split, fit, evaluation, gate."""
