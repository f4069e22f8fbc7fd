"""What was predicted, on what, and what then happened: the prediction log."""
