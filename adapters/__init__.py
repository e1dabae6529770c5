"""Backends: one adapter for each framework or engine, behind one interface."""
