"""The platform: what is around the models."""
