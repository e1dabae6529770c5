"""Expressions over columns, and their types."""
