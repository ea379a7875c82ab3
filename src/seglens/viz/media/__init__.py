"""What all figures and pages are made of: paper and HTML, their parts and their files."""
