"""Results: the tables, how they are written, read and merged, and what they add up to.

schema.py says every field once; results.py holds the rows; document.py writes and reads them.
"""
