"""Measurements: comparisons, golden outputs, profiles, explanations, and the command line."""
