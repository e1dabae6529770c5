"""Queries in SQL from the command line: their tables, their results, and Velox beside."""
