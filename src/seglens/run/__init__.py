"""What a person does in one go: explain, look for classes, compare places and layers."""
