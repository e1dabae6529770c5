"""Vector functions: one file each (close relatives share one), collected by `registry`.

CONTRIBUTING.md lists what a new one touches.
"""
