"""The comparison: what is compared, the cells, their turns, and the report."""
