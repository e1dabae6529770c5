"""Figures as text: one style of tables."""
