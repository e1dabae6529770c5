"""Results: what a comparison found, as records and as a file."""
