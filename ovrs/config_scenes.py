"""The configuration keys of procedural scenes: how many there are, and what they have beside image and labels."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_scene_keys(cfg: CfgNode) -> None:
    """Add the keys to a configuration, in place."""
    keys = cfg.DATASETS.SCENES = CfgNode()
    # How many there are of each split (they are drawn from seed and index), and their side in pixels.
    keys.TRAIN_SIZE = 20000
    keys.VAL_SIZE = 64
    keys.IMAGE_SIZE = 256
    # Memory in GiB that each process which reads images may fill with scenes it has drawn; 0 = every scene is drawn again.
    keys.KEPT_GIB = 1.0
    # Their SAR partners: "" for none, "db", or "8bit" (decibels stretched over 0..255, as stored pictures of SAR have them).
    keys.SAR = ""
    # Some sentences about each scene, as the description of the whole image; they name no side of it, so flips leave them true.
    keys.DESCRIPTIONS = False
    # Share of the scenes whose optical image is under clouds, and the least and the most that these cover of it.
    keys.CLOUDY_SHARE = 0.0
    keys.CLOUD_COVER = (0.3, 0.8)
