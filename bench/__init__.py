"""Measurements: comparisons, golden outputs, profiles, explanations, and the command line.

In this code a backend is any of those compared, and the engine the columnar one. What users read
calls all of them engines, as the field does, and so do the keys of result files.
"""
