"""Results as a report: one offline page with charts, Markdown, LaTeX, CSV and JSON.

figures.py works out what there is to show, as Arrow tables; tables.py words it; charts.py draws it;
page.py and formats.py put it together.
"""
