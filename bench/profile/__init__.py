"""The same layer in every engine side by side, and the tensors between layers."""
