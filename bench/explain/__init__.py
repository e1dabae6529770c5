"""How a backend runs a network: its plan, its kernels, and what they cost."""
