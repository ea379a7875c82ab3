"""Pictures without a part of them: what a figure shows, and the figure."""
