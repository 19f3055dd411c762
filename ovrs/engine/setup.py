"""What happens before a job: the configuration is read, a device chosen, the log opened, random numbers seeded."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import tempfile
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger

from ovrs.config import load_config
from ovrs.config_files import find_config
from ovrs.config_places import check_prompts_read, place_keys, place_reading
from ovrs.data.catalog import register_files
from ovrs.engine.run_folder import RUN_FILE, last_training
from ovrs.errors import ConfigError, OutputError
from ovrs.files import written_whole
from ovrs.modeling.prompts import CLIMATE

logger = logging.getLogger(__name__)


def setup(args: argparse.Namespace) -> CfgNode:
    """The frozen configuration of a command line as Detectron2's parser gives it; opens ``OUTPUT_DIR`` and its log.

    Raises:
        ConfigError: no configuration file is named, or it or a description in ``DATASETS.FILES`` is wrong (see
            :func:`ovrs.config.load_config` and :func:`ovrs.data.catalog.register_files`), or see
            :func:`check_class_sentences`, :func:`check_prompt_tokens` and :func:`ovrs.config_places.check_prompts_read`.
        OutputError: ``OUTPUT_DIR`` cannot be written.
    """
    if not args.config_file:
        raise ConfigError("no configuration: give --config-file, for example --config-file mini")
    device = ["MODEL.DEVICE", "cpu"] if getattr(args, "num_gpus", 1) == 0 else []
    cfg = load_config(args.config_file, [*(args.opts or ()), *device])
    register_files(cfg.DATASETS.FILES)
    check_class_sentences(cfg)
    check_prompts_read(cfg)
    check_prompt_tokens(cfg)
    _check_writable(cfg.OUTPUT_DIR)
    rank = comm.get_rank()
    for name in ("ovrs", "fvcore", "detectron2"):
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=rank, name=name)
    cfg = settle_seed(choose_device(cfg), resume=args.resume)
    if comm.is_main_process():
        _describe(cfg, args)
    # One for all processes: they build the same model. Images and steps draw from seeds of their own.
    seed_all_rng(cfg.SEED)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not args.eval_only
    return cfg


def check_class_sentences(cfg: CfgNode) -> None:
    """Whether the data sets give what the prompts read; sentences that nothing reads change nothing, and are let pass.

    Raises:
        ConfigError: ``MODEL.PROMPTS`` is climate, and no class is given a sentence; it would be remote_sensing unsaid.
    """
    if cfg.MODEL.PROMPTS == CLIMATE and not cfg.DATASETS.CLIMATE.CLASS_SENTENCES:
        raise ConfigError(
            f"MODEL.PROMPTS is {CLIMATE}, which reads a sentence on each class, and DATASETS.CLIMATE.CLASS_SENTENCES is False: "
            "set it True, or choose remote_sensing, the same templates without sentences"
        )


def check_prompt_tokens(cfg: CfgNode) -> None:
    """Whether the text encoder reads prompts to their ends: sentences are left out as a whole, and not cut in the middle.

    Raises:
        ConfigError: ``DATASETS.CLIMATE.PROMPTS`` gives longer prompts than the model's encoder reads.
    """
    prompts, tokens, read = cfg.DATASETS.CLIMATE.PROMPTS, cfg.DATASETS.CLIMATE.TOKENS, cfg.MODEL.TEXT.MAX_TOKENS
    if prompts in ("", "neutral") or place_reading(place_keys(cfg)) != "prompt":
        return
    if tokens > read:
        raise ConfigError(
            f"DATASETS.CLIMATE.TOKENS is {tokens}, and the text encoder cuts a prompt behind {read} tokens "
            "(MODEL.TEXT.MAX_TOKENS): raise the latter, or lower the former"
        )


def _describe(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Put the whole configuration and the environment beside the results, and a word on both into the log.

    An evaluation in the folder of a training leaves the training's as they are, and puts its own under ``inference``.
    """
    folder = Path(cfg.OUTPUT_DIR)
    if args.eval_only and last_training(folder / RUN_FILE):
        folder /= "inference"
    for name, text in (("config.yaml", cfg.dump()), ("environment.txt", collect_env_info() + "\n")):
        with written_whole(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    changes = " ".join(args.opts or ()) or "nothing overridden"
    logger.info("%s (%s), on %s; PyTorch %s", find_config(args.config_file), changes, cfg.MODEL.DEVICE, torch.__version__)
    logger.info("The whole configuration is in %s, the environment in environment.txt beside it", folder / "config.yaml")


def choose_device(cfg: CfgNode) -> CfgNode:
    """The configuration on a device that is there: the CPU in place of a missing CUDA device."""
    if not cfg.MODEL.DEVICE.startswith("cuda") or torch.cuda.is_available():
        return cfg
    logger.warning("MODEL.DEVICE is %s, but there is no CUDA device; using the CPU", cfg.MODEL.DEVICE)
    cfg = cfg.clone()
    cfg.merge_from_list(["MODEL.DEVICE", "cpu"])
    return cfg


def settle_seed(cfg: CfgNode, *, resume: bool) -> CfgNode:
    """The configuration with the seed that is used: a negative ``SEED`` is drawn here, for all processes alike.

    Args:
        resume: the seed of the last training in this ``OUTPUT_DIR`` is used again.
    """
    if cfg.SEED >= 0:
        return cfg
    earlier = last_training(Path(cfg.OUTPUT_DIR) / RUN_FILE).get("seed") if resume else None
    drawn = earlier if isinstance(earlier, int) else secrets.randbelow(2**30)
    seed = comm.all_gather(drawn)[0]
    logger.info("SEED is %d; used is %d, %s", cfg.SEED, seed, "drawn before" if earlier is not None else "drawn now")
    cfg = cfg.clone()
    cfg.merge_from_list(["SEED", seed])
    return cfg


def _check_writable(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"OUTPUT_DIR {folder}: cannot be written: {error.strerror}") from error
