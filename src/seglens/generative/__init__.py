"""Variational autoencoders: their modules, their losses, and the derivatives of their latent units."""

from seglens.generative.burgess import BurgessVAE
from seglens.generative.layers import Pass
from seglens.generative.mgrad2vae import AttentionMaps, Mgrad2VAE
from seglens.generative.objective import Objective
from seglens.generative.segmentation_vae import SegmentationVAE
from seglens.generative.vae import CVAE, VAE
from seglens.generative.xception_unet import XceptionUNet

__all__ = [
    "CVAE",
    "VAE",
    "AttentionMaps",
    "BurgessVAE",
    "Mgrad2VAE",
    "Objective",
    "Pass",
    "SegmentationVAE",
    "XceptionUNet",
]
