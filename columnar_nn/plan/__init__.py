"""Plans: their nodes, how they are built, written, read from SQL text and rewritten."""
