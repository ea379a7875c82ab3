"""Metrics: how well a network segments, and what a map is worth."""
