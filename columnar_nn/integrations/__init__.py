"""Networks inside other engines: over a stream of Arrow batches, and on Spark's DataFrames."""
