"""The machine: its CPUs and software, its peak, its counters, and what others take of it."""
