"""A user's network before it is run: whether it was read right, and which batches it takes."""
