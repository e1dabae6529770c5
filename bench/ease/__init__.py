"""Ease of use, measured: what it takes to install, start, feed and correct each backend."""
