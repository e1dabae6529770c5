"""Plans that run: pipelines of operators, drivers, tasks, and what they measured."""
