"""Golden bundles: expected tensors of a network, and any backend verified against them."""
