"""Workers: processes that each run one backend, and what they are sent and report."""
