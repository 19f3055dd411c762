"""ovrs: open-vocabulary segmentation for remote sensing. An image and a vocabulary go in, a map of it comes out."""

__version__ = "0.1.0"
