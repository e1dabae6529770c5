"""Files that are never half written and never left behind."""
