"""What the salient context of a region consists of, as a figure."""
