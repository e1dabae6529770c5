"""Studies: what is swept, the plan, sessions that go on where they were interrupted, findings."""
