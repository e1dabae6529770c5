"""What a notebook shows of graphs, plans, tasks, statistics and tables: HTML without scripts."""
