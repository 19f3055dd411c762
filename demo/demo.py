"""Segment images by words: a map, its confidence and a picture for each, and a table on the terminal.

Only parsing and the order of events are here; the work is done by ovrs.inference. Heavy packages are imported after the
arguments have been checked, so that help and mistakes answer at once.
"""

from __future__ import annotations

import argparse
import glob
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.errors import OvrsError, VocabularyError
from ovrs.inference.command_line import add_model_arguments, load_segmenter, one_line, whole_number
from ovrs.vocabulary import Background, Vocabulary
from ovrs.vocabulary_files import presets

if TYPE_CHECKING:
    from ovrs.inference.batch import Job
    from ovrs.inference.reading import ReadOptions
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
  %(prog)s --input 'archive/**/*.tif' --preset land_cover --vectors gpkg --min-area 20 --output maps --resume
      an archive, with polygons; what is done already is left out, and interrupted work goes on
  %(prog)s --input port.tif --vocab "ship,quay" --config-file mini/rs_zeroseg
      another small model
  %(prog)s --input port.tif --vocab ship --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml \\
          --weights aeroseg.safetensors --opts TEST.OVERLAP 0.5
      another system, other weights, and any key of the configuration

written for each input NAME, as .tif where it has a coordinate reference system, else as .png:
  NAME.classes      0, 1, ... in the order of the words, background last; 255 = nodata (65535 above 254 names)
  NAME.confidence   0..1 and NaN = nodata in .tif; value / 254 and 255 = nodata in .png
  NAME.overlay.png  the image under the colours of its classes, with a legend
  NAME.classes.tif.aux.xml  names and colours of the classes, for QGIS and other programs that read with GDAL

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
        action="extend",
        metavar="IMAGE",
        default=[],
        help="PNG, JPEG, WebP or GeoTIFF files, or patterns; without it a scene is drawn",
    )
    files.add_argument(
        "--output", type=_folder, metavar="DIR", default="output/demo", help="folder for the results (default: %(default)s)"
    )
    files.add_argument(
        "--nodata",
        default="auto",
        metavar="auto|none|VALUE",
        help="what is nodata beside what the file declares: where it declares nothing, black that touches the border (auto); "
        "nothing; or a value that all three bands have, as 65535, -9999 or nan (default: %(default)s)",
    )
    files.add_argument(
        "--allow-remote",
        action="store_true",
        help="also read GeoTIFFs at https://, http://, s3:// and gs://, and trust VRTs and /vsi paths with all they point to",
    )
    files.add_argument("--bands", metavar="R,G,B", help="bands of a GeoTIFF that stand for red, green and blue, from 1")
    files.add_argument(
        "--stretch",
        default="auto",
        metavar="auto|none|LOW,HIGH",
        help="values that become 0 and 255, for all of a scene: two percentiles as 2%%,98%% (auto, for other than eight bits), "
        "two values as 0,10000, or none (default: %(default)s)",
    )
    files.add_argument("--gsd", type=float, metavar="M", help="metres a pixel at which the model is to see the image")
    files.add_argument(
        "--max-pixels",
        type=whole_number,
        default=10_000_000_000,
        metavar="N",
        help="refuse larger GeoTIFFs before decoding them (default: 1e10)",
    )
    files.add_argument("--probabilities", action="store_true", help="also write the scores of all classes (GeoTIFFs only)")
    files.add_argument(
        "--vectors", choices=("gpkg", "geojson", "parquet"), help="also write the polygons of the map (GeoTIFFs only)"
    )
    files.add_argument("--min-area", type=float, default=0.0, metavar="M2", help="leave smaller polygons out (default: 0)")
    files.add_argument(
        "--simplify",
        type=float,
        default=1.0,
        metavar="PX",
        help="how much outlines are smoothed; 0 keeps the steps (default: 1)",
    )
    files.add_argument("--cog", action="store_true", help="write cloud-optimised GeoTIFFs")
    files.add_argument("--resume", action="store_true", help="go on with what an interrupted run left")
    files.add_argument(
        "--seed", type=whole_number, default=22, metavar="N", help="the scene drawn without --input (default: %(default)s)"
    )
    words = parser.add_argument_group("words").add_mutually_exclusive_group()
    words.add_argument("--vocab", metavar="WORDS", help=f'comma list, synonyms behind bars (default: "{DEFAULT_VOCABULARY}")')
    words.add_argument("--preset", metavar="NAME", help="a ready vocabulary, see --list-presets")
    words.add_argument("--vocab-file", metavar="FILE", help="classes from a .txt, .json or .yaml file")
    parser.add_argument("--list-presets", action=ListPresets, nargs=0, help="print the ready vocabularies and stop")
    parser.add_argument(
        "--synonyms", choices=("max", "mean"), help="score a class by its best word, or by the mean of its words (default: max)"
    )
    policy = parser.add_argument_group("background")
    policy.add_argument(
        "--background",
        metavar="none|WORDS",
        help="words that stand for everything else; none drops the vocabulary file's own background",
    )
    policy.add_argument(
        "--confidence-threshold", type=_share, metavar="T", help="below this confidence (0..1) a pixel is background"
    )
    model = add_model_arguments(parser)
    model.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where many images are segmented: here, under torchrun by all its processes, or on a Ray cluster (default: local)",
    )
    model.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="N", help="GPUs of each worker of a Ray cluster")
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
    from ovrs.inference.outputs import OutputFolder
    from ovrs.inference.sources import draw_source, list_sources

    options = read_options(args)
    sources = list_sources(args.input, options)
    with OutputFolder(args.output) as folder:
        job = replace(job_of(args, vocabulary, options), recorded=len(sources) > 1 or any(map(glob.has_magic, args.input)))
        names = (name for source in sources for name in job.names_of(source))
        folder.check_targets(names, (source.path for source in sources))
        if args.engine == "ray" and sources:
            return 2 if segment_on_cluster(args, sources, job) else 0
        segmenter = load_segmenter(args)
        if not args.input:
            print(f"no --input: a synthetic scene is drawn from seed {args.seed}")
            sources = [draw_source(args.seed, folder.path)]
        print(f"classes: {', '.join(vocabulary.names)}")
        return 2 if segment_all(sources, segmenter, job) else 0


def job_of(args: argparse.Namespace, vocabulary: Vocabulary, options: ReadOptions) -> Job:
    """What is done with every image, as the arguments say."""
    from ovrs.inference.batch import Job
    from ovrs.inference.vectors import VectorOptions, check_packages

    if args.vectors is not None:
        check_packages()
    return Job(
        Path(args.output),
        vocabulary,
        threshold=args.confidence_threshold if vocabulary.background.policy == "words" else None,
        read=options,
        probabilities=args.probabilities,
        vectors=args.vectors,
        vector_options=VectorOptions(args.min_area, args.simplify),
        cog=args.cog,
        resume=args.resume,
    )


def read_options(args: argparse.Namespace) -> ReadOptions:
    """How files are read, as the arguments say."""
    from ovrs.inference.nodata import parse_nodata
    from ovrs.inference.reading import ReadOptions, parse_bands
    from ovrs.inference.stretch import StretchRule

    return ReadOptions(
        bands=None if args.bands is None else parse_bands(args.bands),
        stretch=StretchRule.parse(args.stretch),
        nodata=parse_nodata(args.nodata),
        gsd=args.gsd,
        max_pixels=args.max_pixels,
        allow_remote=args.allow_remote,
    )


def read_vocabulary(args: argparse.Namespace) -> Vocabulary:
    """The vocabulary with its background, as the arguments say."""
    if args.vocab_file is not None:
        vocabulary = Vocabulary.read(args.vocab_file)
    elif args.preset is not None:
        vocabulary = Vocabulary.preset(args.preset)
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
    return vocabulary if args.synonyms is None else replace(vocabulary, synonyms=args.synonyms)


class ListPresets(argparse.Action):
    """Print the ready vocabularies and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Called where the option stands."""
        for name, purpose in presets().items():
            print(f"{name:12} {purpose}: {', '.join(Vocabulary.preset(name).names)}")
        parser.exit()


def segment_on_cluster(args: argparse.Namespace, sources: Sequence[Source], job: Job) -> int:
    """Segment the images on a Ray cluster; returns how many failed."""
    from ovrs.inference.batch import write_summary
    from ovrs.inference.cluster import ModelSpec, segment_on_ray
    from ovrs.inference.progress import Bars

    failed = 0
    spec = ModelSpec(args.config_file, args.weights, tuple(args.opts), args.device)
    with Bars(len(sources)) as bars:
        for record in segment_on_ray(spec, sources, replace(job, recorded=True), gpus=args.gpus_per_worker):
            failed += record.status == "failed"
            bars.write(f"{record.scene}: {record.error or record.status}", sys.stderr if record.error else sys.stdout)
            bars.image_done()
    print(f"{len(sources) - failed} of {len(sources)} images done; {write_summary(job.output, job.vocabulary.names)}")
    return failed


def segment_all(sources: Sequence[Source], segmenter: Segmenter, job: Job) -> int:
    """Segment each image and print its table; with several, a bad one is reported and the others are finished.

    Under torchrun each process takes its own part of them.

    Returns:
        How many images failed.
    """
    from ovrs.inference.batch import segment_scene, write_summary
    from ovrs.inference.processes import Processes
    from ovrs.inference.progress import Bars
    from ovrs.inference.tables import coverage_table

    failed = 0
    processes = Processes.of()
    part = processes.own_part(sources)
    with Bars(len(part)) as bars:
        for source in part:
            try:
                record, result = segment_scene(segmenter, source, job, bars.tiles(source.path.name))
            except Exception as error:  # a device without memory for one scene must not end the others
                if not job.recorded:
                    raise
                if not isinstance(error, OvrsError):
                    bars.write("".join(traceback.format_exception(error)), sys.stderr)
                bars.write(f"demo.py: error: {source.path}: {one_line(error)}", sys.stderr)
                failed += 1
            else:
                if result is None:
                    bars.write(f"{source.path}: done before", sys.stdout)
                else:
                    note = " (a synthetic scene)" if result.place.synthetic else ""
                    bars.write(f"\n{source.path}{note}\n{coverage_table(result)}\n", sys.stdout)
                    bars.write("\n".join(["wrote", *(f"  {job.output / file}" for file in record.files)]), sys.stdout)
            bars.image_done()
    failed = processes.total(failed)
    if job.recorded and processes.rank == 0:
        print(f"{len(sources) - failed} of {len(sources)} images done; {write_summary(job.output, job.vocabulary.names)}")
    return failed


def _folder(text: str) -> str:
    """A folder for results; what looks like the name of one of them is refused."""
    path = Path(text)
    if path.suffix.lower() in (".tif", ".tiff", ".png", ".gpkg", ".geojson", ".parquet") and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder; the map of scene.tif becomes DIR/scene.classes.tif")
    return text


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..1")
    return number


def _complain(error: Exception) -> None:
    print(f"demo.py: error: {one_line(error)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
