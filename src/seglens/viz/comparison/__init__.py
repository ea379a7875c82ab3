"""Comparisons of methods: what they show, as a figure, as a page, and to files."""
