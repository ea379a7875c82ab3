"""The latent space of an autoencoder: moved through, measured, held against known factors, and its size chosen."""
