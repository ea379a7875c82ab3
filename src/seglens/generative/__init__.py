"""Variational autoencoders: their modules, their losses, and the derivatives of their latent units."""
