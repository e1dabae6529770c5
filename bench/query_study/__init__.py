"""The query study: engines that run a query with networks in it, from Parquet files to rows."""
