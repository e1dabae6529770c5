"""The PyTorch backend: networks built of its operators, and their profile."""
