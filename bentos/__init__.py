"""One folder a model; each folder is one bento."""
