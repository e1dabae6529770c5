"""Figures as text: tables, single figures, caveats, progress."""
