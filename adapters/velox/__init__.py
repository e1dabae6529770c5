"""The Velox backend: formulations of a network as Velox plans, and their tasks."""
