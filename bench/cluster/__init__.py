"""The columnar engine inside Spark: jobs, what they cost, a cluster on this machine, a model."""
