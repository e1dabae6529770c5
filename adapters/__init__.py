"""Backends: one adapter for each engine, behind one interface."""
