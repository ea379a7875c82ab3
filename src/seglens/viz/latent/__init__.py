"""What is decoded from latent vectors, and tables of latent units, as figures, animations and pages."""
