"""train_net.py as a command of its own, on images of 32 x 32 pixels and an AerOSeg of some 100,000 parameters.

Usage: python toy_training.py FOLDER [options of train_net.py]; FOLDER receives the images and the results.
"""

import sys
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import META_ARCH_REGISTRY
from PIL import Image
from torch import nn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "modeling")]

from parts import tiny_aeroseg  # noqa: E402

import train_net  # noqa: E402
from ovrs.modeling.losses import LossSettings  # noqa: E402
from ovrs.vocabulary import Vocabulary, VocabularyClass  # noqa: E402

VOCABULARY = Vocabulary((VocabularyClass("dark", ("black",)), VocabularyClass("bright"), VocabularyClass("red", seen=False)))
CONFIG = """VERSION: 2
MODEL: {META_ARCHITECTURE: TinyAerOSeg, DEVICE: cpu}
DATASETS: {TRAIN: [toy_train], TEST: [toy_val], DRAW_SYNONYMS: True}
DATALOADER: {NUM_WORKERS: 0}
INPUT: {MIN_SIZE_TRAIN: [32, 40], CROP_SIZE: 32, QUARTER_TURNS: True}
SOLVER: {IMS_PER_BATCH: 4, MAX_ITER: 4, BASE_LR: 0.002, CHECKPOINT_PERIOD: 1, CLIP_GRADIENTS: {CLIP_VALUE: 1.0}}
SEED: 7
"""


@META_ARCH_REGISTRY.register()
def TinyAerOSeg(cfg):  # noqa: N802 - a system's name
    """Ignored pixels are masked out, so that processes count different numbers of them; dropout and batch norm are there."""
    model = tiny_aeroseg(loss=LossSettings(ignored="mask", alignment_weight=0.5), back_projection=None)
    model.text_guidance = nn.Sequential(model.text_guidance, nn.Dropout(0.1 if cfg.MODEL.PRECISION == "fp32" else 0.0))
    return model


def draw_images(folder):
    """Eight images, each with another share of pixels of the unseen class, which are ignored in training."""
    rng = np.random.default_rng(0)
    entries = []
    for index in range(8):
        labels = np.zeros((32, 32), np.uint8)
        labels[:, 16:] = 1
        labels[: 3 * index] = 2
        pixels = rng.integers(0, 60, (32, 32, 3)) + 90 * labels[..., None]
        entry = {"file_name": f"{folder}/{index}.png", "sem_seg_file_name": f"{folder}/{index}_labels.png"}
        if not Path(entry["sem_seg_file_name"]).exists():
            Image.fromarray(pixels.astype(np.uint8)).save(entry["file_name"])
            Image.fromarray(labels).save(entry["sem_seg_file_name"])
        entries.append(entry)
    return entries


folder = Path(sys.argv[1])
for split in ("train", "val"):
    DatasetCatalog.register(f"toy_{split}", lambda: draw_images(folder))
    MetadataCatalog.get(f"toy_{split}").set(vocabulary=VOCABULARY)

if __name__ == "__main__":
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "toy.yaml").write_text(CONFIG)
    sys.exit(train_net.run(["--config-file", str(folder / "toy.yaml"), *sys.argv[2:], "OUTPUT_DIR", str(folder)]))
