"""train_net.py as a process of its own, on images of 32 x 32 pixels and an AerOSeg of some 100,000 trained parameters.

Usage: python toy_training.py FOLDER [options of train_net.py]; FOLDER receives the images and the results, and in losses.txt
the total loss of every step.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import HookBase
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils import comm
from PIL import Image
from torch import nn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "modeling")]

from parts import tiny_aeroseg  # noqa: E402

import ovrs.data.check  # noqa: E402 - train_net imports both when it runs
import ovrs.engine.setup  # noqa: E402, F401
import train_net  # noqa: E402
from ovrs.engine import launch  # noqa: E402
from ovrs.engine.trainer import Trainer  # noqa: E402
from ovrs.modeling.losses import LossSettings  # noqa: E402
from ovrs.vocabulary import Vocabulary, VocabularyClass  # noqa: E402

VOCABULARY = Vocabulary((VocabularyClass("dark", ("black",)), VocabularyClass("bright"), VocabularyClass("red", seen=False)))
CONFIG = """VERSION: 2
MODEL: {META_ARCHITECTURE: TinyAerOSeg, DEVICE: cpu}
DATASETS: {TRAIN: [toy_train], TEST: [toy_val], DRAW_SYNONYMS: True}
DATALOADER: {NUM_WORKERS: 0}
INPUT: {MIN_SIZE_TRAIN: [32, 40], CROP_SIZE: 32, QUARTER_TURNS: True}
SOLVER: {IMS_PER_BATCH: 4, MAX_ITER: 5, BASE_LR: 0.002, CHECKPOINT_PERIOD: 2, CLIP_GRADIENTS: {CLIP_VALUE: 1.0}}
SEED: 7
"""


@META_ARCH_REGISTRY.register()
def TinyAerOSeg(cfg):  # noqa: N802 - a system's name
    """Ignored pixels are masked out, so that processes count different numbers of them; and there is a batch norm."""
    model = tiny_aeroseg(loss=LossSettings(ignored="mask", alignment_weight=0.5), back_projection=None)
    model.vision_normalization = nn.Sequential(model.vision_normalization, nn.BatchNorm2d(3))
    return model


@META_ARCH_REGISTRY.register()
def TinyAerOSegWithDropout(cfg):  # noqa: N802 - a system's name
    """The same, drawing random numbers in every step."""
    model = TinyAerOSeg(cfg)
    model.text_guidance = nn.Sequential(model.text_guidance, nn.Dropout(0.5))
    return model


class RecordLosses(HookBase):
    """Appends to losses.txt, and sees to the accident that a test asks for."""

    def __init__(self, folder, accident):
        self.file, self.accident = folder / "losses.txt", accident

    def before_step(self):
        kind, _, iteration = self.accident.partition(":")
        if self.accident and self.trainer.iter == int(iteration):
            {"step": killed_in_a_step, "save": killed_while_saving}[kind](self.trainer)

    def after_step(self):
        if comm.is_main_process():
            with self.file.open("a") as file:
                print(self.trainer.iter, self.trainer.storage.history("total_loss").latest(), file=file)


def killed_in_a_step(trainer):
    trainer.optimizer.register_step_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def killed_while_saving(trainer):
    whole = torch.save

    def half(data, path):
        whole(data, path)
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half


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
        if comm.is_main_process() and not (folder / "toy.yaml").exists():
            Image.fromarray(pixels.astype(np.uint8)).save(entry["file_name"])
            Image.fromarray(labels).save(entry["sem_seg_file_name"])
        entries.append(entry)
    return entries


def prepare(folder, accident=""):
    """Make this process know the toy system and data; nothing is undone, so this is for processes of their own."""
    folder.mkdir(exist_ok=True, parents=True)
    entries = draw_images(folder)
    for split in ("train", "val"):
        DatasetCatalog.register(f"toy_{split}", lambda: entries)
        MetadataCatalog.get(f"toy_{split}").set(vocabulary=VOCABULARY)
    build_hooks = Trainer.build_hooks
    Trainer.build_hooks = lambda trainer: [RecordLosses(folder, accident), *build_hooks(trainer)]
    torch.set_num_threads(1)


def start(folder, options=(), *, accident="", environment=None):
    """What ``train_net.py OPTIONS`` does, then the end of the process with its exit code; processes are forked from this.

    What they print goes to FOLDER/printed.txt.
    """
    os.environ.update(environment or {}, OMP_NUM_THREADS="1")
    launch.START_METHOD = "fork"
    multiprocessing.set_start_method("fork", force=True)
    prepare(folder, accident)
    with (folder / "printed.txt").open("a") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    sys.exit(run(folder, options))


def run(folder, options):
    config = folder / "toy.yaml"
    if not config.exists():
        config.write_text(CONFIG)
    return train_net.run(["--config-file", str(config), *options, "OUTPUT_DIR", str(folder)])


if __name__ in ("__main__", "__mp_main__"):
    prepare(Path(sys.argv[1]))
    if __name__ == "__main__":
        sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
