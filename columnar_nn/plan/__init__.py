"""Plans: their nodes, how they are built, written and rewritten; expressions in SQL text."""
