"""Systems (one file each), their shared base, and the encoders and blocks they are built from."""

from ovrs.modeling.aeroseg import AerOSeg
from ovrs.modeling.dense_alignment import DenseAlignment
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.modeling.windows import InferenceSettings

__all__ = ["AerOSeg", "DenseAlignment", "InferenceSettings", "SegmentationModel"]
