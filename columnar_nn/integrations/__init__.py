"""Networks inside other engines: over streams of Arrow batches, in Spark and in DuckDB."""
