"""Golden bundles: expected tensors of a network, and any engine verified against them."""
