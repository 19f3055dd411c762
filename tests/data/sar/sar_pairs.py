"""The description of the pairs that ``conftest`` writes, and what is read of them."""

import yaml
from detectron2.config import get_cfg

from ovrs.config import add_ovrs_config
from ovrs.data.catalog import load_split, register_files
from ovrs.data.mapper import SegmentationMapper
from ovrs.data.sar.raster import open_raster

NAMES = ("a", "b", "c")

SPLIT = {"images": "photos", "masks": "labels", "sar": "radar", "sar_suffix": ".tif", "descriptions": "texts"}


def described(folder, sar=None, split=None, **changes):
    """A description of the pairs, registered as ``pairs_train``."""
    sar = {"scale": "db", "polarisations": ["VV", "VH"], "bands": [1, 2]} if sar is None else sar
    train = {key: value for key, value in {**SPLIT, **(split or {})}.items() if value is not None}
    document = {"name": "pairs", "classes": ["land", "water"], "sar": sar, "train": train, **changes}
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
    register_files([path])
    return path


def configured(path, **keys):
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.FILES, cfg.DATASETS.TRAIN = (str(path),), ("pairs_train",)
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP_SIZE = (0,), 0
    cfg.INPUT.FLIP = cfg.INPUT.COLOR_JITTER = False
    for key, value in keys.items():
        cfg.INPUT[key] = value
    return cfg


def samples(cfg, is_train=False):
    mapper = SegmentationMapper(cfg, is_train)
    return [mapper({**entry, "dataset_name": "pairs_train"}) for entry in load_split("pairs_train")]


def radar_of(folder, name):
    with open_raster(str(folder / f"radar/{name}.tif")) as file:
        return file.read()
