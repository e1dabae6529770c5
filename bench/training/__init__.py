"""Networks trained with PyTorch, and their batch normalisation."""
