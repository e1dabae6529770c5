"""Figures as text: tables, and ratios in words."""
