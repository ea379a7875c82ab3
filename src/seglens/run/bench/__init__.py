"""Benchmarks that train their own networks, so that what the networks rely on is known."""
