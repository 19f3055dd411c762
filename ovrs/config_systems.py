"""The configuration keys of single systems: those that ``ovrs/config.py`` does not share among all."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_system_keys(model: CfgNode) -> None:
    """Add the keys of every system to ``cfg.MODEL``, in place."""
    _add_dense_alignment(model)
    _add_rs_zeroseg(model)


def _add_dense_alignment(model: CfgNode) -> None:
    """``MODEL.ALIGNMENT``, of the small encoder's pre-training."""
    keys = model.ALIGNMENT = CfgNode()
    # Labels of every "pixel", or which classes an "image" holds.
    keys.SUPERVISION = "pixel"


def _add_rs_zeroseg(model: CfgNode) -> None:
    """``MODEL.RS_ZEROSEG``. Its remote-sensing stream is the encoder under ``MODEL.GUIDANCE``, with one entry in ``LAYERS``.

    Of these defaults only the weight of the alignment loss is the preprint's; the others are our reading.
    """
    keys = model.RS_ZEROSEG = CfgNode()
    # Channels of both streams and of their fusion, and attention heads of MS-CAM.
    keys.DIM = 256
    keys.HEADS = 8
    # Grids of MS-CAM, as multiples of the vision-language encoder's (24 x 24 at 384 pixels and patches of 16);
    # [] leaves it out.
    keys.SCALES = [2.0, 1.0, 0.5]
    # Channels of F_MSCAM, at four times that grid.
    keys.FEATURE_DIM = 128
    # carh: features gated by each class's words, then projected; cosine: the gate by itself; decoder: AerOSeg's, behind the
    # gate (MODEL.COST.KERNEL, MODEL.DECODER, MODEL.GUIDANCE.DECODER_DIMS).
    keys.HEAD = "carh"
    # Channels in which words and features are compared (0: the words' own space, from which W_q then starts), and channels
    # inside the projection of carh.
    keys.GATE_DIM = 0
    keys.HEAD_DIM = 32
    # What the alignment loss compares with words: the whole "image", or the "region" of each class.
    keys.ALIGN_LOSS = "image"
    # Lambda, the weight of that loss; 0 leaves it out.
    keys.ALIGN_LOSS_WEIGHT = 0.2
