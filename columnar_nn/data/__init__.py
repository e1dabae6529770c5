"""Columns in: Arrow files and streams that are read, and tensors as Arrow columns."""
