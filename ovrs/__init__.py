"""ovrs: open-vocabulary segmentation for remote sensing; an image and a vocabulary go in, a map of that vocabulary comes out."""

__version__ = "0.1.0"
