"""What the demo's command line says of where images were taken, and the prompts that follow from it. Imports no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.climate.seasons import SEASONS

if TYPE_CHECKING:
    from ovrs.inference.climate_options import ClimateOptions
    from ovrs.inference.questions import Question
    from ovrs.inference.reading import ReadOptions
    from ovrs.inference.sources import Source


def add_climate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group "where the image was taken", which only some models read."""
    where = parser.add_argument_group("where the image was taken, for models that read it")
    where.add_argument(
        "--location",
        default="",
        metavar="LAT,LON",
        help="degrees, as 25.2,55.3 or '25.2N 55.3E' (default: the middle of a GeoTIFF, by its own coordinates; in front of "
        "a minus write --location=-33.9,18.5)",
    )
    where.add_argument("--region", default="", metavar="NAME", help="a city or region by name, as Dubai")
    where.add_argument("--zone", default="", metavar="CODE", help="the climate zone itself (Köppen and Geiger), as BWh")
    where.add_argument(
        "--climate-raster", type=Path, metavar="FILE", help="look zones up in this raster, not in the map that comes along"
    )
    where.add_argument(
        "--prompt-bank", type=Path, metavar="FILE", help="take sentences from this bank, not from the one that comes along"
    )
    where.add_argument("--season", choices=tuple(SEASONS), default="", help="also say the season in the prompt")
    where.add_argument("--say-pixel-size", action="store_true", help="also say in the prompt how large a pixel is")
    where.add_argument(
        "--show-prompt",
        action="store_true",
        help="print place, zone and prompt of each input (else of the place that is named, else of the scene that would be "
        "drawn) as the model of --config-file would be told, and stop before it is loaded",
    )


def climate_options(args: argparse.Namespace) -> ClimateOptions:
    """What is known of where images were taken, as the arguments say; tried as far as that goes without an image.

    Raises:
        OvrsError: a place, zone, raster or bank that there is not.
    """
    from ovrs.inference.climate_options import ClimateOptions

    options = ClimateOptions(
        args.location, args.region, args.zone, args.climate_raster, args.prompt_bank, args.season, args.say_pixel_size
    )
    options.check()
    return options


def show_prompts(
    args: argparse.Namespace, sources: Sequence[Source], questions: Sequence[Question], options: ReadOptions
) -> int:
    """Print the place, the zone and the prompt of each image and question, for the model that the configuration describes.

    Without an image they are those of the place that is named, or else of the scene that is drawn from ``args.seed``. Token
    counts are estimated: a model's own tokenizer may find room for a sentence more.

    Returns:
        The exit status: 2 where the coordinates of an image could not be read.

    Raises:
        ConfigError: there is no such configuration, or it cannot be read.
        DataError: its prompt bank cannot be read.
    """
    from ovrs.config_places import place_keys_of_file, place_reading
    from ovrs.errors import OvrsError
    from ovrs.inference.command_line import one_line
    from ovrs.inference.drawing import drawn_place
    from ovrs.inference.prompt_policy import build_prompt_policy
    from ovrs.inference.questions import in_words
    from ovrs.inference.sentence import Sentence
    from ovrs.inference.whereabouts import ClassWhereabouts, Whereabouts, whereabouts_of_file

    keys = place_keys_of_file(args.config_file, args.opts)
    reads, policy = place_reading(keys), build_prompt_policy(keys)
    if not reads:
        system = keys["MODEL.META_ARCHITECTURE"]
        print(f"the model of {args.config_file} ({system}) reads nothing of where an image was taken: it is told no prompt")
        return 0
    kind = ClassWhereabouts if reads == "sentences" else Whereabouts
    failed = False
    for question in questions:
        if len(questions) > 1:
            print(in_words(question))
        vocabulary = question.asked(True)[0] if isinstance(question, Sentence) else question
        vocabulary = vocabulary if args.description is None else vocabulary.with_description(args.description)
        if not sources:
            named = options.climate.zone or options.climate.place is not None
            print(kind.of(vocabulary, options.climate, None if named else drawn_place(args.seed), policy))
        for source in sources:
            try:
                print(f"{source.path}\n{whereabouts_of_file(source.path, vocabulary, options, policy, kind)}")
            except OvrsError as error:
                failed = True
                print(f"demo.py: error: {one_line(error)}", file=sys.stderr)
    return 2 if failed else 0
