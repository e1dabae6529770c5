"""The columnar engine held against the limits of the machine."""
