"""What everything else stands on: networks, targets, regions, capture, explanations. Knows torch and numpy alone."""
