"""``run.json`` in OUTPUT_DIR: what ran, on what data, with which code and seed, so that it can be told and repeated."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm

import ovrs
from ovrs.data.catalog import task_of, vocabulary_of
from ovrs.data.loaders import dataset_dicts
from ovrs.files import written_whole

RUN_FILE = "run.json"
PACKAGES = (
    "torch",
    "torchvision",
    "detectron2",
    "fvcore",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "open_clip_torch",
    "timm",
    "transformers",
    "segment-anything",
    "safetensors",
    "rasterio",
    "tensorboard",
)


@contextmanager
def recorded(cfg: CfgNode, job: str, command: Sequence[str] | None = None) -> Iterator[None]:
    """Write ``run.json`` at the beginning of a job, and how it ended at its end; an earlier job's account is kept inside.

    Args:
        cfg: of the job, with the seed that is used.
        job: ``training`` or ``evaluation``.
        command: the command line; this process's where None.

    Raises:
        DataError: a data set of the job is missing (it is counted).
        OutputError: the file cannot be written.
    """
    if not comm.is_main_process():
        yield
        return
    path = Path(cfg.OUTPUT_DIR) / RUN_FILE
    account = describe(cfg, job, command)
    earlier = read_account(path)
    if earlier:
        account["earlier"] = [*earlier.pop("earlier", []), earlier]
    _write(path, account)
    try:
        yield
        account["status"] = "finished"
    except (KeyboardInterrupt, SystemExit):
        account["status"] = "interrupted"
        raise
    except BaseException as error:
        account["status"] = f"failed: {error}"
        raise
    finally:
        account["end"] = _now()
        _write(path, account)


def describe(cfg: CfgNode, job: str, command: Sequence[str] | None = None) -> dict[str, Any]:
    """All that ``run.json`` says when a job begins."""
    names = [*(cfg.DATASETS.TRAIN if job == "training" else ()), *cfg.DATASETS.TEST]
    return {
        "status": "running",
        "job": job,
        "command": list(sys.argv if command is None else command),
        "seed": cfg.SEED,
        "start": _now(),
        "end": None,
        "ovrs": ovrs.__version__,
        "git": git_state(Path(ovrs.__file__).parent),
        "device": _device(cfg.MODEL.DEVICE),
        "world_size": comm.get_world_size(),
        "data_sets": {name: _count(cfg, name) for name in dict.fromkeys(names)},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def read_account(path: Path) -> dict[str, Any]:
    """An earlier account; empty where there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def last_training(path: Path) -> dict[str, Any]:
    """The account of the last training among those of a folder, evaluations left out; empty where there is none."""
    account = read_account(path)
    jobs = [*account.get("earlier", []), account]
    return next((job for job in reversed(jobs) if job.get("job") == "training"), {})


def git_state(folder: Path) -> dict[str, Any]:
    """Revision of the checkout whose package ``folder`` is, and whether it differs from it; "unknown" outside of one."""
    unknown = {"revision": "unknown", "dirty": "unknown"}
    try:
        top, revision = _git(folder, "rev-parse", "--show-toplevel", "HEAD").split("\n")
        # An installed package may lie in a checkout of something else.
        if Path(top).resolve() != folder.resolve().parent or not _git(folder, "ls-files", "--", "__init__.py"):
            return unknown
        return {"revision": revision, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError, ValueError):
        return unknown


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _count(cfg: CfgNode, name: str) -> dict[str, int]:
    entries = dataset_dicts(cfg, name)
    if task_of(name) == "referring":
        images = len({entry["file_name"] for entry in entries})
        # A scene names no sentence before it is drawn; an evaluation asks it for one.
        sentences = sum(len(entry.get("expressions", (None,))) for entry in entries)
        return {"images": images, "things": len(entries), "sentences": sentences}
    vocabulary = vocabulary_of(name)
    seen = sum(cls.seen for cls in vocabulary.classes)
    return {"images": len(entries), "classes": vocabulary.num_classes, "seen": seen}


def _device(name: str) -> str:
    if name.startswith("cuda") and torch.cuda.is_available():
        return f"{name}: {torch.cuda.get_device_name(name)}"
    return (
        f"{name}: {platform.processor() or platform.machine()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, content: dict[str, Any]) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
