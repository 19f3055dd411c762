"""All systems: whoever imports this has them registered with Detectron2."""

from ovrs.modeling.aeroseg import AerOSeg
from ovrs.modeling.dense_alignment import DenseAlignment
from ovrs.modeling.mafn import MAFN
from ovrs.modeling.metasegnet import MetaSegNet
from ovrs.modeling.rs_zeroseg import RSZeroSeg
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.modeling.tsmnet import TSMNet

__all__ = ["MAFN", "AerOSeg", "DenseAlignment", "MetaSegNet", "RSZeroSeg", "SegmentationModel", "TSMNet"]
