"""Model zoos: networks by name, their folders and their objects; each library is imported when one is asked for."""

from seglens.networks.zoos.monai_models import monai_model
from seglens.networks.zoos.smp_models import adapt_smp, load_smp_folder, smp_model
from seglens.networks.zoos.timm_models import adapt_timm, load_timm_folder, timm_model
from seglens.networks.zoos.torchvision_models import adapt_torchvision, torchvision_model

__all__ = [
    "adapt_smp",
    "adapt_timm",
    "adapt_torchvision",
    "load_smp_folder",
    "load_timm_folder",
    "monai_model",
    "smp_model",
    "timm_model",
    "torchvision_model",
]
