"""What the commands of the demo share: which model, and how numbers are read and errors shown. Imports no torch by itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.inference.quality import QUALITIES

if TYPE_CHECKING:
    from ovrs.inference.segmenter import Segmenter


def add_model_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add ``--config-file``, ``--weights``, ``--device``, ``--quality`` and ``--opts``; returns their group."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--config-file",
        default="mini",
        metavar="FILE",
        help="configuration file, or the bare name of a small model: mini is AerOSeg's, mini/rs_zeroseg RS-ZeroSeg's, "
        "mini/mafn MAFN's, which reads sentences, mini/tsmnet TSMNet's, which reads SAR beside the image, mini/metasegnet "
        "MetaSegNet's, which reads where the image was taken "
        "(default: %(default)s)",
    )
    model.add_argument(
        "--weights",
        metavar="FILE",
        help="weights (default: MODEL.WEIGHTS of the configuration); 'random' tries the path without any",
    )
    model.add_argument("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    model.add_argument(
        "--quality",
        choices=QUALITIES,
        default="best",
        help="leave out work, and change the map: on iSAID balanced took 0.77 of the time and lost 0.9 of h-mIoU, fast "
        "took 0.67 and lost 1.2 (docs/quality.md; default: %(default)s)",
    )
    model.add_argument(
        "--opts",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="KEY VALUE",
        help="configuration keys and values; must come last",
    )
    return model


def load_segmenter(args: argparse.Namespace) -> Segmenter:
    """The model of :func:`add_model_arguments`; this imports torch and takes seconds.

    Raises:
        ConfigError: an unknown configuration, key or device.
        WeightsError: the weights are missing or do not fit.
    """
    from ovrs.inference.segmenter import Segmenter

    if args.weights == "random":
        print("warning: --weights random: the map will mean nothing; only the path to it is tried", file=sys.stderr)
    return Segmenter.from_config(args.config_file, args.weights, args.opts, args.device, args.quality)


def whole_number(text: str) -> int:
    """A whole number from 0 on, also written as 1e8 or 100_000_000; for ``type=``."""
    number = float(text)
    if not number.is_integer() or number < 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(number)


def share(text: str) -> float:
    """A number of 0..1; for ``type=``."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..1")
    return number


def folder_name(text: str) -> str:
    """A folder for results; what looks like the name of one of them is refused. For ``type=``."""
    path = Path(text)
    if path.suffix.lower() in (".tif", ".tiff", ".png", ".gpkg", ".geojson", ".parquet") and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder; the map of scene.tif becomes DIR/scene.classes.tif")
    return text


def one_line(error: Exception) -> str:
    """An error's text without line breaks."""
    return " ".join(str(error).split())
