"""The reference: every operator by its definition, in numpy float64."""
