"""Whether an output is right: errors against the reference, tolerances, and how a cell ended."""
