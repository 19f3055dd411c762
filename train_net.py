#!/usr/bin/env python
r"""Train, resume and evaluate segmentation by words, with Detectron2's command line.

Examples:
    python train_net.py --config-file mini OUTPUT_DIR output/mini
    python train_net.py --config-file mini --resume OUTPUT_DIR output/mini SOLVER.MAX_ITER 6000
    python train_net.py --config-file mini --eval-only MODEL.WEIGHTS output/mini/model_final.pth
    python train_net.py --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml --num-gpus 4 \
        DATASETS.TRAIN '("isaid_train",)' DATASETS.TEST '("isaid_val",)'
    python train_net.py --config-file mini --num-gpus 0 --num-processes 2
    python train_net.py --config-file mini --check-data \
        DATASETS.FILES '("my_fields.yaml",)' DATASETS.TRAIN '("my_fields_train",)'

What follows the options are pairs KEY VALUE that override the configuration file; ovrs/config.py explains every key that
ovrs adds. Data sets are looked for under $DETECTRON2_DATASETS (default: datasets); "scenes" needs no files. Without a CUDA
device the CPU is used. OUTPUT_DIR receives run.json (what ran, with which seed and code), config.yaml, environment.txt,
log.txt, metrics.json, events for TensorBoard, checkpoints, model_best.pth, pictures/<iteration>/, and inference/<data set>/
with report.json and classes.csv. SOLVER.IMS_PER_BATCH counts the images of all processes together.
Ctrl-C or SIGTERM finishes the step and saves; --resume goes on from there. docs/training.md says more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ovrs.errors import ConfigError, OvrsError

# Torch and Detectron2 are imported after the arguments have been read, so that help and mistakes answer at once.
if TYPE_CHECKING:
    from detectron2.config import CfgNode


def parser() -> argparse.ArgumentParser:
    """The options of Detectron2's ``default_argument_parser``, described for this project, and two of its own."""
    summary, _, epilog = (__doc__ or "").partition("\n\n")
    built = argparse.ArgumentParser(description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = built.add_argument
    add("--config-file", default="", metavar="FILE", help="a YAML file, or the bare name of a small model: mini, mini/NAME")
    add(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in OUTPUT_DIR, if there is one, with its optimizer and schedule",
    )
    add(
        "--eval-only",
        action="store_true",
        help="evaluate MODEL.WEIGHTS (with --resume: the last checkpoint in OUTPUT_DIR) on DATASETS.TEST and stop",
    )
    add(
        "--num-gpus",
        type=int,
        default=1,
        help="GPUs on each machine, a process each; 0 = the CPU (default 1, which is the CPU too where there is no GPU)",
    )
    add("--num-machines", type=int, default=1, help="machines that train together; start this command on each of them")
    add("--machine-rank", type=int, default=0, help="which of the machines this is, from 0")
    add(
        "--dist-url",
        default="auto",  # Detectron2's is one port for all trainings of a user
        help="where they meet: tcp://HOST:PORT of the first machine; one machine alone finds a port by itself",
    )
    add("--check-data", action="store_true", help="look at every image and mask, say what is wrong, and stop")
    add("--num-processes", type=int, default=1, help="processes on each machine where they run on the CPU")
    add("opts", default=None, nargs=argparse.REMAINDER, help="KEY VALUE pairs that override the configuration file")
    return built


def main(args: argparse.Namespace) -> Any:
    """Do what the command line asks for, in this process; returns the figures of the last evaluation."""
    from ovrs.engine.run_folder import recorded
    from ovrs.engine.setup import setup

    cfg = setup(args)
    with recorded(cfg, "evaluation" if args.eval_only else "training"):
        return evaluate(cfg, args) if args.eval_only else train(cfg, args)


def train(cfg: CfgNode, args: argparse.Namespace) -> Any:
    """Train, or go on training."""
    from ovrs.data.check import spot_check
    from ovrs.engine.trainer import Trainer

    spot_check(cfg)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


def evaluate(cfg: CfgNode, args: argparse.Namespace) -> Any:
    """Evaluate weights on all of ``DATASETS.TEST``."""
    from ovrs.engine.checkpointer import Checkpointer
    from ovrs.engine.trainer import Trainer

    if not cfg.DATASETS.TEST:
        raise ConfigError("--eval-only: DATASETS.TEST names no data set")
    model = Trainer.build_model(cfg)
    checkpointer = Checkpointer(model, cfg.OUTPUT_DIR)
    if not cfg.MODEL.WEIGHTS and not (args.resume and checkpointer.has_checkpoint()):
        raise ConfigError("--eval-only needs weights: give MODEL.WEIGHTS FILE, or --resume and the OUTPUT_DIR of a training")
    checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
    return Trainer.test(cfg, model)


def check(args: argparse.Namespace) -> int:
    """Print what the data sets hold and what is wrong with them; returns the exit code: 0, or 2 where something is."""
    if not args.config_file:
        raise ConfigError("no configuration: give --config-file, for example --config-file mini")
    from ovrs.config import load_config
    from ovrs.data.check import check_data

    checks = check_data(load_config(args.config_file, args.opts or ()))
    print("\n\n".join(found.report() for found in checks))
    problems = [(found.name, problem) for found in checks for problem in found.problems]
    if problems:
        name, first = problems[0]
        more = f" (the first of {len(problems):,} problems)" if len(problems) > 1 else ""
        print(f"train_net.py: error: {name}: {first.kind}: {first.text}{more}", file=sys.stderr)
    return 2 if problems else 0


def run(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0, or 2 for what the user can mend."""
    args = parser().parse_args(arguments)
    try:
        if args.check_data:
            return check(args)
        from ovrs.engine.launch import launch

        launch(
            main,
            args.num_gpus,
            num_processes=args.num_processes,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
    except OvrsError as error:
        print(f"train_net.py: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run())
