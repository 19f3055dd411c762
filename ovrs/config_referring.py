"""The configuration keys of referring segmentation: a sentence goes in, the mask of what it means comes out."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_referring_keys(cfg: CfgNode) -> None:
    """Add the keys to a configuration, in place."""
    # What data sets hold and evaluation measures: "segmentation" (a class for every pixel) or "referring" (a sentence's mask).
    cfg.DATASETS.TASK = "segmentation"

    # Mirror and turn images whose sentences name directions, and change the words with them (left for right, ...). Otherwise
    # FLIP and QUARTER_TURNS are refused for such sentences.
    cfg.INPUT.FLIP_WORDS = False
    # Share of the training images in which boxes are blackened, how many (least and most), and their side in pixels.
    cfg.INPUT.ERASED_SHARE = 0.0
    cfg.INPUT.ERASED_BOXES = (20, 60)
    cfg.INPUT.ERASED_SIZE = 32

    keys = cfg.TEST.REFERRING = CfgNode()
    # The size at which answer and truth are compared: "input", that at which the model sees the image (MODEL.FIXED_SIZE; so do
    # RMSIN's and MAFN's published figures), or "original", that of the truth.
    keys.EVAL_AT = "input"
    # The IoU of an empty answer to a sentence that means nothing in the image: 0 (RMSIN, MAFN) or 1 (GRES).
    keys.EMPTY_UNION = 0
    # What a model is asked for: the "sentence", or the "class" that it names, among all classes of the data set (a baseline).
    keys.ASK = "sentence"
    # Of the class: the score from which on a pixel that it wins is in the answer.
    keys.CLASS_THRESHOLD = 0.5
