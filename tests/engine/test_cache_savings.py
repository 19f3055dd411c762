import logging
import sys
import time
from pathlib import Path

import torch
from detectron2.modeling import META_ARCH_REGISTRY

from ovrs.config import load_config
from ovrs.engine.trainer import Trainer
from ovrs.modeling.encoders.guidance_cache import CachedGuidance

sys.path.append(str(Path(__file__).parents[1] / "modeling"))
from parts import tiny_aeroseg, tiny_sam

SECONDS = 0.05


@META_ARCH_REGISTRY.register()
def TinyWithCache(cfg):  # noqa: N802 - a system's name
    """An AerOSeg whose guidance encoder takes its time and whose cache is wherever the configuration says."""
    torch.manual_seed(0)
    encoder = tiny_sam()
    encoder.register_forward_pre_hook(lambda *_: time.sleep(SECONDS))
    return tiny_aeroseg(guidance_encoder=CachedGuidance(encoder, cfg.MODEL.GUIDANCE.CACHE), back_projection=None)


def test_a_training_says_what_its_cache_saves_once_images_come_back(config_file, tmp_path, caplog):
    fixed = ["INPUT.CROP_SIZE", "0", "INPUT.FLIP", "False", "INPUT.COLOR_JITTER", "False", "DATASETS.TEST", "()"]
    options = [*fixed, "MODEL.META_ARCHITECTURE", "TinyWithCache", "MODEL.GUIDANCE.CACHE", str(tmp_path / "cache")]
    trainer = Trainer(load_config(str(config_file), [*options, "SOLVER.MAX_ITER", "14"]))
    with caplog.at_level(logging.INFO):
        trainer.train()
    encoder = trainer.model.guidance_encoder
    assert len(list((tmp_path / "cache").glob("*/*.safetensors"))) == 4
    assert encoder.misses == 4 and encoder.hits == 14 * 2 - 3 * 2 - 4, "three steps went past it"
    said = [message for message in caplog.messages if "without the guidance cache" in message]
    assert len(said) == 1 and said[0].startswith("A step takes ") and "times as fast" in said[0]
    assert trainer.storage.history("guidance_cache_speedup").latest() > 1
