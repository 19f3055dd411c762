"""What happens before a job: the configuration is read, a device chosen, the log opened, random numbers seeded."""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger

from ovrs.config import find_config, load_config
from ovrs.errors import ConfigError, OutputError

logger = logging.getLogger(__name__)


def setup(args: argparse.Namespace) -> CfgNode:
    """The frozen configuration of a command line as Detectron2's parser gives it; opens ``OUTPUT_DIR`` and its log.

    Raises:
        ConfigError: no configuration file is named, or it is wrong (see :func:`ovrs.config.load_config`).
        OutputError: ``OUTPUT_DIR`` cannot be written.
    """
    if not args.config_file:
        raise ConfigError("no configuration: give --config-file, for example --config-file mini")
    device = ["MODEL.DEVICE", "cpu"] if getattr(args, "num_gpus", 1) == 0 else []
    cfg = load_config(args.config_file, [*(args.opts or ()), *device])
    _check_writable(cfg.OUTPUT_DIR)
    rank = comm.get_rank()
    for name in ("ovrs", "fvcore", "detectron2"):
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=rank, name=name)
    cfg = choose_device(cfg)
    if comm.is_main_process():
        _describe(cfg, args)
    # One for all processes: they build the same model. Images and steps draw from seeds of their own.
    seed_all_rng(None if cfg.SEED < 0 else cfg.SEED)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not args.eval_only
    return cfg


def _describe(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Put the whole configuration and the environment beside the results, and a word on both into the log."""
    folder = Path(cfg.OUTPUT_DIR)
    (folder / "config.yaml").write_text(cfg.dump(), encoding="utf-8")
    (folder / "environment.txt").write_text(collect_env_info() + "\n", encoding="utf-8")
    changes = " ".join(args.opts or ()) or "nothing overridden"
    logger.info("%s (%s), on %s; PyTorch %s", find_config(args.config_file), changes, cfg.MODEL.DEVICE, torch.__version__)
    logger.info("The whole configuration is in %s, the environment in environment.txt beside it", folder / "config.yaml")


def choose_device(cfg: CfgNode) -> CfgNode:
    """The configuration on a device that is there: the CPU in place of a missing CUDA device."""
    if not cfg.MODEL.DEVICE.startswith("cuda") or torch.cuda.is_available():
        return cfg
    logger.warning("MODEL.DEVICE is %s, but there is no CUDA device; using the CPU", cfg.MODEL.DEVICE)
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    cfg.freeze()
    return cfg


def _check_writable(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"OUTPUT_DIR {folder}: cannot be written: {error.strerror}") from error
