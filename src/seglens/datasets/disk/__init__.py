"""Readers of public data sets, each laid out on disk as its publisher lays it out, one file each."""
