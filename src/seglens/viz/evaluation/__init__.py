"""How well a network segments: confusion matrix and error map as figures, all scores on a page."""
