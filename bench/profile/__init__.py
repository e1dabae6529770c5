"""The same layer in every backend side by side, and the tensors between layers."""
