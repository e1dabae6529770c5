"""Differences of two sides of sessions: what may be concluded of each cell, and what may not."""
