"""Segment images by words: a map, its confidence and a picture for each, and a table on the terminal.

Only parsing and the order of events are here; the work is done by ovrs.inference. Heavy packages are imported after the
arguments have been checked, so that help and mistakes answer at once.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.errors import OvrsError, VocabularyError
from ovrs.vocabulary import Background, Vocabulary

if TYPE_CHECKING:
    from ovrs.inference.outputs import OutputFolder
    from ovrs.inference.segmenter import Segmenter
    from ovrs.inference.sources import Source

DEFAULT_VOCABULARY = "ship|boat, bridge, building|house, road, tree, water, cropland, bare soil"

EXAMPLES = """examples:
  %(prog)s
      draw a scene, segment it with the small model, write to output/demo
  %(prog)s --input town.tif --vocab "building,road,tree,water"
      segment a file by words; town.classes.tif lies on the grid of town.tif
  %(prog)s --input 'tiles/*.png' more.jpg --vocab-file classes.yaml --output maps
      many files, and a vocabulary file (.txt, .json, .yaml)
  %(prog)s --input port.tif --vocab "ship|boat|vessel, quay|pier"
      synonyms stand behind bars; the first word names the class
  %(prog)s --input port.tif --vocab "ship,quay" --background "water,land,vegetation"
      a pixel that one of these words fits better is background
  %(prog)s --input port.tif --vocab "ship,quay" --confidence-threshold 0.4
      a pixel whose best class is less sure than that is background
  %(prog)s --input port.tif --vocab ship --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml \\
          --weights aeroseg.safetensors --opts TEST.INFERENCE sliding TEST.OVERLAP 0.5
      another system, other weights, and any key of the configuration

written for each input NAME, as .tif where it has a coordinate reference system, else as .png:
  NAME.classes      0, 1, ... in the order of the words, background last; 255 = nodata (65535 above 254 names)
  NAME.confidence   0..1 and NaN = nodata in .tif; value / 254 and 255 = nodata in .png
  NAME.overlay.png  the image under the colours of its classes, with a legend

Exit status: 0 all written, 2 a mistake in the arguments or an input (one line on standard error says which).
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, in Detectron2's habits."""
    parser = argparse.ArgumentParser(
        prog="demo.py",
        description="Segment aerial and satellite images by the words you give.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = parser.add_argument_group("images")
    files.add_argument(
        "--input",
        nargs="+",
        metavar="IMAGE",
        default=[],
        help="PNG, JPEG, WebP or GeoTIFF files, or patterns; without it a scene is drawn",
    )
    files.add_argument("--output", metavar="DIR", default="output/demo", help="folder for the results (default: %(default)s)")
    files.add_argument(
        "--nodata",
        default="auto",
        metavar="auto|none|VALUE",
        help="what is nodata beside what the file declares: where it declares nothing, black that touches the border (auto); "
        "nothing; or a value (default: %(default)s)",
    )
    files.add_argument(
        "--max-pixels",
        type=_whole_number,
        default=100_000_000,
        metavar="N",
        help="refuse larger images before decoding them (default: 1e8)",
    )
    files.add_argument(
        "--seed", type=_whole_number, default=22, metavar="N", help="the scene drawn without --input (default: %(default)s)"
    )
    words = parser.add_argument_group("words").add_mutually_exclusive_group()
    words.add_argument("--vocab", metavar="WORDS", help=f'comma list, synonyms behind bars (default: "{DEFAULT_VOCABULARY}")')
    words.add_argument("--vocab-file", metavar="FILE", help="classes from a .txt, .json or .yaml file")
    policy = parser.add_argument_group("background")
    policy.add_argument(
        "--background",
        metavar="none|WORDS",
        help="words that stand for everything else; none drops the vocabulary file's own background",
    )
    policy.add_argument(
        "--confidence-threshold", type=_share, metavar="T", help="below this confidence (0..1) a pixel is background"
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--config-file",
        default="mini",
        metavar="FILE",
        help="configuration file, or the bare name of a small model (default: %(default)s)",
    )
    model.add_argument(
        "--weights",
        metavar="FILE",
        help="weights (default: MODEL.WEIGHTS of the configuration); 'random' tries the path without any",
    )
    model.add_argument("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    model.add_argument(
        "--opts",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="KEY VALUE",
        help="configuration keys and values; must come last",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except OvrsError as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        print("demo.py: interrupted", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then load the model, then segment one image after the other.

    Raises:
        OvrsError: a mistake that was found before the first image was segmented, or in the only one.
    """
    vocabulary = read_vocabulary(args)
    from ovrs.inference.nodata import parse_nodata
    from ovrs.inference.outputs import OutputFolder
    from ovrs.inference.sources import drawn_source, list_sources

    nodata = parse_nodata(args.nodata)
    if args.input:
        sources = list_sources(args.input, nodata, args.max_pixels)
    else:
        print(f"no --input: a synthetic scene is drawn from seed {args.seed}")
        sources = [drawn_source(args.seed, Path(args.output))]

    with OutputFolder(args.output) as folder:
        inputs = (source.path for source in sources if not source.drawn)
        folder.check_targets((name for source in sources for name in source.results), inputs)
        segmenter = load_segmenter(args)
        print(f"classes: {', '.join(vocabulary.names)}")
        written, failed = segment_all(args, sources, segmenter, vocabulary, folder)
    print("wrote" if written else "wrote nothing")
    for path in written:
        print(f"  {path}")
    return 2 if failed else 0


def read_vocabulary(args: argparse.Namespace) -> Vocabulary:
    """The vocabulary with its background, as the arguments say."""
    if args.vocab_file is not None:
        vocabulary = Vocabulary.read(args.vocab_file)
    else:
        vocabulary = Vocabulary.parse(DEFAULT_VOCABULARY if args.vocab is None else args.vocab)
    if args.background is not None:
        words = tuple(word for word in args.background.split(",") if word.strip())
        if not words:
            raise VocabularyError("--background names no word; give some, or none")
        drop = args.background.strip().casefold() == "none"
        vocabulary = vocabulary.with_background(Background() if drop else Background("words", words))
    if args.confidence_threshold is not None and vocabulary.background.policy != "words":
        vocabulary = vocabulary.with_background(Background("threshold", threshold=args.confidence_threshold))
    return vocabulary


def load_segmenter(args: argparse.Namespace) -> Segmenter:
    """The model; this imports torch and takes seconds."""
    # A library that ovrs uses calls what torch is going to drop; whoever runs a command cannot mend that.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.jit")
    from ovrs.inference.segmenter import Segmenter

    return Segmenter.from_config(args.config_file, args.weights, args.opts, args.device)


def segment_all(
    args: argparse.Namespace, sources: Sequence[Source], segmenter: Segmenter, vocabulary: Vocabulary, folder: OutputFolder
) -> tuple[list[Path], int]:
    """Segment and write each image; with several, a bad one is reported and the others are finished.

    Returns:
        The files written, and how many images failed.
    """
    from ovrs.inference.progress import Bars

    written: list[Path] = []
    failed = 0
    threshold = args.confidence_threshold if vocabulary.background.policy == "words" else None
    with Bars(len(sources)) as bars:
        for source in sources:
            try:
                written += segment_one(source, segmenter, vocabulary, threshold, folder, bars.tiles(source.path.name))
            except OvrsError as error:
                if len(sources) == 1:
                    raise
                bars.write(f"demo.py: error: {_one_line(error)}", sys.stderr)
                failed += 1
            bars.image_done()
    return written, failed


def segment_one(
    source: Source,
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    threshold: float | None,
    folder: OutputFolder,
    progress: Callable[[int, int], None],
) -> list[Path]:
    """Segment one image, write its files and print its table."""
    from tqdm import tqdm

    from ovrs.inference.results import write_results
    from ovrs.inference.tables import coverage_table

    segmentation = segmenter.segment(source.read(), vocabulary, confidence_threshold=threshold, progress=progress)
    written = write_results(segmentation, folder, source.path.stem, with_image=source.drawn)
    note = " (a synthetic scene)" if segmentation.image.synthetic else ""
    tqdm.write(f"\n{source.path}{note}\n{coverage_table(segmentation)}\n", file=sys.stdout)
    return written


def _whole_number(text: str) -> int:
    """A whole number, also written as 1e8 or 100_000_000."""
    number = float(text)
    if not number.is_integer() or number < 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(number)


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..1")
    return number


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _complain(error: Exception) -> None:
    print(f"demo.py: error: {_one_line(error)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
