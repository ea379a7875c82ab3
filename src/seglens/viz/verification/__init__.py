"""Verifications by removal: what they show, as a figure and as a page."""
