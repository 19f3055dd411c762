"""Where data sets are looked for."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template


def data_root() -> Path:
    """The folder of all data sets: ``$DETECTRON2_DATASETS``, or ``datasets``."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))


def resolved(folder: str, base: Path) -> str:
    """An absolute folder: ``~`` and environment variables filled in, relative ones under ``base``.

    ``$DETECTRON2_DATASETS`` stands for :func:`data_root` where it is not set.
    """
    variables = {**os.environ, "DETECTRON2_DATASETS": str(data_root().absolute())}
    return str(base.absolute() / os.path.expanduser(Template(folder).safe_substitute(variables)))
