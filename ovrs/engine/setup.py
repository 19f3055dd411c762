"""What happens before a job: the configuration is read, a device chosen, the log opened, random numbers seeded."""

from __future__ import annotations

import argparse
import logging
import os
import tempfile

import torch
from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
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
    cfg = choose_device(load_config(args.config_file, args.opts or ()))
    _check_writable(cfg.OUTPUT_DIR)
    # default_setup copies the file into the log, so it needs the path behind a bare name.
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="ovrs")
    default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": find_config(args.config_file)}))
    return cfg


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
