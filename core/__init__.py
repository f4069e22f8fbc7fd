"""What every part stands on; knows no model, no HTTP, no SQL."""
