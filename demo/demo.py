"""Segment images by words: a map, its confidence and a picture for each, and a table on the terminal.

Only parsing and the order of events are here; the work is done by ovrs.inference. Heavy packages are imported after the
arguments have been checked, so that help and mistakes answer at once.
"""

from __future__ import annotations

import argparse
import gc
import glob
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.errors import InputError, OvrsError
from ovrs.inference.climate_arguments import add_climate_arguments, show_prompts
from ovrs.inference.command_line import add_model_arguments, load_segmenter, one_line
from ovrs.inference.file_arguments import add_file_arguments, read_options
from ovrs.inference.pair_arguments import add_pair_arguments, modalities_asked
from ovrs.inference.questions import Question, add_question_arguments, endings, in_words, read_questions
from ovrs.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovrs.inference.batch import Job
    from ovrs.inference.reading import ReadOptions
    from ovrs.inference.segmenter import Segmenter
    from ovrs.inference.sources import Source

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
  %(prog)s --input port.tif --expression "the largest ship, left of the pier"
      the mask of what a sentence says, commas and all; docs/sentences.md says what to expect of which model
  %(prog)s --input port.tif --expression "the ship at the pier" --expression "the ship nearest the bridge" \\
          --grounding windows --config-file mini/mafn
      two sentences, two masks (port.the-ship-at-the-pier.classes.tif), every window by itself; a model of sentences
  %(prog)s --input 'archive/**/*.tif' --preset land_cover --vectors gpkg --min-area 20 --output maps --resume
      an archive, with polygons; what is done already is left out, and interrupted work goes on
  %(prog)s --input 'archive/**/*.tif' --preset land_cover --quality fast --output maps
      less work for nearly the same maps; docs/quality.md says what is left out
  %(prog)s --input town.tif --sar town_sar.tif --description "a river town after a flood" --vocab "water,houses" \\
          --config-file mini/tsmnet --compare-modalities
      an image and its SAR partner, and what is said of the scene; a model that reads them; docs/optical_and_sar.md
  %(prog)s --clouds 0.4 --config-file mini/tsmnet --compare-modalities
      the same of a drawn scene under clouds: its SAR partner is drawn and its description written beside it
  %(prog)s --input 'dubai/*.png' --zone BWh --vocab "building,road,tree" --config-file mini/metasegnet
      where they were taken, told to a model that reads it (a GeoTIFF says it itself); --show-prompt prints what it is told
  %(prog)s --input port.tif --vocab "ship,quay" --config-file mini/rs_zeroseg
      another small model
  %(prog)s --input port.tif --vocab ship --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml \\
          --weights aeroseg.safetensors --opts TEST.OVERLAP 0.5
      another system, other weights, and any key of the configuration

written for each input NAME, as .tif where it has a coordinate reference system, else as .png:
  NAME.classes      0, 1, ... in the order of the words, background last; 255 = nodata (65535 above 254 names);
                    of a sentence: 0 = what it says, 1 = background
  NAME.confidence   0..1 and NaN = nodata in .tif; value / 254 and 255 = nodata in .png
  NAME.overlay.png  the image under the colours of its classes, with a legend
  NAME.modalities.png  with --compare-modalities: the image, its SAR partner and the maps of either and both, side by side
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
    add_file_arguments(parser)
    add_question_arguments(parser)
    add_pair_arguments(parser)
    add_climate_arguments(parser)
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
        print(f"demo.py: error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo.py: interrupted", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then load the model, then segment one image after the other.

    Raises:
        OvrsError: a mistake that was found before the first image was segmented, or in the only one.
    """
    questions = read_questions(args)
    from ovrs.inference.outputs import OutputFolder, distinct_stems
    from ovrs.inference.pairing import with_partners
    from ovrs.inference.sources import list_sources

    options = read_options(args)
    sources = with_partners(list_sources(args.input, options), args.sar, options)
    if args.show_prompt:
        return show_prompts(args, sources, questions, options)
    on_cluster = args.engine == "ray" and bool(sources)
    with OutputFolder(args.output) as folder:
        recorded = on_cluster or len(sources) > 1 or any(map(glob.has_magic, args.input))
        asked = [
            (replace(job_of(args, question, options), recorded=recorded, modalities=how), ending + of_one)
            for question, ending in zip(questions, endings(questions), strict=True)
            for how, of_one in modalities_asked(args)
        ]
        distinct_stems((source.path, source.stem + ending) for _, ending in asked for source in sources)
        names = [name for job, ending in asked for source in sources for name in job.names_of(source.with_ending(ending))]
        folder.check_targets(names, (path for source in sources for path in source.files))
        segmenter = load_model(args) if not on_cluster or args.compare_modalities else None
        gc.enable()  # see the end of this file
        segment = segment_on_cluster if on_cluster or segmenter is None else partial(segment_all, segmenter)
        if not args.input and segmenter is not None:
            sources, asked = draw(segmenter, args, asked)
        failed = 0
        for job, ending in asked:
            print(in_words(job.vocabulary, job.modalities))
            failed += segment(args, named := [source.with_ending(ending) for source in sources], job)
            if args.compare_modalities and job.modalities == "both":
                failed += compare_all(named, job)
        return 2 if conclude([job for job, _ in asked], len(asked) * len(sources), failed) else 0


def load_model(args: argparse.Namespace) -> Segmenter:
    """The model that the arguments name, which must read SAR where it is to be compared with and without.

    Raises:
        OvrsError: it cannot be loaded, or reads none.
    """
    segmenter = load_segmenter(args)
    if args.compare_modalities and not segmenter.reads_sar:
        raise InputError(f"--compare-modalities: the model of {args.config_file} reads no SAR; name one that does")
    return segmenter


def draw(
    segmenter: Segmenter, args: argparse.Namespace, asked: Sequence[tuple[Job, str]]
) -> tuple[list[Source], list[tuple[Job, str]]]:
    """A scene for who has no file yet, with what the model reads beside an image, and what is asked of it.

    What is said of the scene is told the model, unless the user says something.

    Raises:
        OutputError: it cannot be written.
    """
    from ovrs.inference.drawing import draw_for

    drawn = draw_for(segmenter, args.seed, Path(args.output), clouds=args.clouds)
    what = "a synthetic scene is" if drawn.source.sar is None else "a synthetic scene and its SAR partner are"
    print(f"no --input: {what} drawn from seed {args.seed}")
    own = any(job.description is not None or getattr(job.vocabulary, "description", "") for job, _ in asked)
    if own or not drawn.description:
        return [drawn.source], list(asked)
    print(f"description: {drawn.description}")
    return [drawn.source], [(replace(job, description=drawn.description), ending) for job, ending in asked]


def job_of(args: argparse.Namespace, question: Question, options: ReadOptions) -> Job:
    """What is done with every image, as the arguments say."""
    from ovrs.inference.batch import Job
    from ovrs.inference.vectors import VectorOptions, check_packages

    if args.vectors is not None:
        check_packages()
    beside_words = isinstance(question, Vocabulary) and question.background.policy == "words"
    return Job(
        Path(args.output),
        question,
        threshold=args.confidence_threshold if beside_words else None,
        description=args.description,
        read=options,
        probabilities=args.probabilities,
        vectors=args.vectors,
        vector_options=VectorOptions(args.min_area, args.simplify),
        cog=args.cog,
        resume=args.resume,
    )


def segment_on_cluster(args: argparse.Namespace, sources: Sequence[Source], job: Job) -> int:
    """Segment the images on a Ray cluster; returns how many failed."""
    from ovrs.inference.cluster import ModelSpec, segment_on_ray
    from ovrs.inference.progress import Bars

    failed = 0
    spec = ModelSpec(args.config_file, args.weights, tuple(args.opts), args.device, args.quality)
    with Bars(len(sources)) as bars:
        for record in segment_on_ray(spec, sources, job, gpus=args.gpus_per_worker):
            failed += record.status == "failed"
            zone = f", zone {record.zone}" if record.zone else ""
            bars.write(f"{record.scene}: {record.error or record.status}{zone}", sys.stderr if record.error else sys.stdout)
            bars.image_done()
    return failed


def segment_all(segmenter: Segmenter, args: argparse.Namespace, sources: Sequence[Source], job: Job) -> int:
    """Segment each image and print its table; with several, a bad one is reported and the others are finished.

    Under torchrun each process takes its own part of them; returns how many of these failed.
    """
    from ovrs.inference.batch import segment_scene
    from ovrs.inference.processes import Processes
    from ovrs.inference.progress import Bars
    from ovrs.inference.segmentation import Referred
    from ovrs.inference.tables import coverage_table

    failed = 0
    part = Processes.of().own_part(sources)
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
                    said = f"\n{result.grounding.report}" if isinstance(result, Referred) else ""
                    note += "" if result.whereabouts is None else f"\n{result.whereabouts}"
                    bars.write(f"\n{source.path}{note}\n{coverage_table(result)}{said}\n", sys.stdout)
                    bars.write("\n".join(["wrote", *(f"  {job.output / file}" for file in record.files)]), sys.stdout)
            bars.image_done()
    return failed


def compare_all(sources: Sequence[Source], job: Job) -> int:
    """Draw the picture that compares the maps of each image, where all three are there; returns how many failed."""
    from ovrs.inference.modalities import draw_from_results
    from ovrs.inference.processes import Processes

    failed = 0
    for source in Processes.of().own_part(sources):
        try:
            path = draw_from_results(source, job)
        except OvrsError as error:
            print(f"demo.py: error: {source.path}: {one_line(error)}", file=sys.stderr)
            failed += 1
        else:
            print(f"compared: {path}" if path is not None else f"{source.path}: not compared, for a map is missing")
    return failed


def conclude(jobs: Sequence[Job], images: int, failed: int) -> int:
    """Where there are records, write their summary and say how many images are done; returns how many failed anywhere."""
    from ovrs.inference.batch import write_summary
    from ovrs.inference.processes import Processes

    processes = Processes.of()
    failed = processes.total(failed)
    if jobs[0].recorded and processes.rank == 0:
        names = dict.fromkeys(name for job in jobs for name in job.vocabulary.names)
        print(f"{images - failed} of {images} images done; {write_summary(jobs[0].output, names)}")
    return failed


if __name__ == "__main__":
    # Looking for garbage takes a seventh of the time in which PyTorch and the model are loaded, and finds none: off until then.
    gc.disable()
    sys.exit(main())
