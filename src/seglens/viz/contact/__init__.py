"""Contact sheets: many small maps of one picture, as figures, as a page, and to files."""
