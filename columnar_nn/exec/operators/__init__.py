"""Physical operators, which move batches through a pipeline; each says which plan node it runs."""
