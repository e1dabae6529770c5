"""Queries in SQL, bound to plans: tables, joins, groups, order; networks are functions."""
