"""What the environment decides: the variables that are read, where caches lie, who may own them."""
