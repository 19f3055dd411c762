"""What the demo's command line says of SAR partners and of the whole scene. Imports no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ovrs.errors import InputError, VocabularyError
from ovrs.vocabulary import MAX_DESCRIPTION, cleaned

if TYPE_CHECKING:
    from ovrs.inference.sar_options import Modalities, SarOptions

# What says something of a partner.
_OF_SAR = (
    "sar_scale",
    "sar_bands",
    "sar_nodata",
    "sar_resample",
    "speckle",
    "speckle_window",
    "looks",
    "compare_modalities",
)
# The options that are the settings of a speckle filter.
_SPECKLE = {"name": "--speckle", "window": "--speckle-window", "looks": "--looks"}


def add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group "SAR and a description", which only some models read."""
    pair = parser.add_argument_group("SAR and a description, for models that read them")
    pair.add_argument(
        "--sar",
        nargs="+",
        action="extend",
        metavar="FILE",
        default=[],
        help="the SAR partner of the image, on its grid; of several images files, patterns or a folder, matched by name",
    )
    pair.add_argument(
        "--sar-scale",
        choices=("amplitude", "intensity", "db", "8bit"),
        help="what SAR values are (default: 8bit of eight bits, db where most are below 0; others must be named)",
    )
    pair.add_argument("--sar-bands", metavar="1,2", help="its bands, from 1, one a polarisation (default: the first ones)")
    pair.add_argument("--sar-nodata", type=float, metavar="VALUE", help="its value that stands for no measurement")
    pair.add_argument("--sar-resample", action="store_true", help="bring a partner on another grid onto the image's")
    pair.add_argument("--speckle", choices=("none", "boxcar", "lee", "refined_lee"), help="speckle filter (default: none)")
    pair.add_argument("--speckle-window", type=int, metavar="PX", help="its side, odd (default: 5; refined_lee has its own)")
    pair.add_argument("--looks", type=float, metavar="L", help="equivalent number of looks, for both Lee filters (default: 1)")
    pair.add_argument(
        "--description",
        type=_description,
        metavar="TEXT",
        help="what is said of the whole scene: 'a river town after a flood'",
    )
    pair.add_argument(
        "--compare-modalities",
        action="store_true",
        help="also map the image alone (NAME.optical.*) and SAR alone (NAME.sar.*), and write NAME.modalities.png: the three "
        "maps side by side with what they cover",
    )


def sar_options(args: argparse.Namespace) -> SarOptions:
    """How SAR partners are read, as the arguments say.

    Raises:
        InputError: bands or a filter that there cannot be, or what belongs to a partner without one.
    """
    from ovrs.data.sar.speckle import Speckle, SpeckleError
    from ovrs.inference.sar_options import SarOptions, parse_sar_bands

    if not args.sar:
        _refuse_alone(args)
    elif not args.input:
        raise InputError("--sar is the partner of an image; name the image by --input")
    bands = None if args.sar_bands is None else parse_sar_bands(args.sar_bands)
    given = {"name": args.speckle, "window": args.speckle_window, "looks": args.looks}
    try:
        speckle = Speckle(**{setting: value for setting, value in given.items() if value is not None})
    except SpeckleError as error:
        raise InputError(f"{_SPECKLE[error.setting]} {error.value}: {error.wanted}") from error
    return SarOptions(args.sar_scale, bands, speckle, args.sar_nodata, args.sar_resample)


def modalities_asked(args: argparse.Namespace) -> list[tuple[Modalities, str]]:
    """What maps are made from, and what the names of their results end in."""
    if not args.compare_modalities:
        return [("both", "")]
    return [("optical", ".optical"), ("sar", ".sar"), ("both", "")]


def _description(text: str) -> str:
    try:
        return cleaned(text, "the description", MAX_DESCRIPTION)
    except VocabularyError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _refuse_alone(args: argparse.Namespace) -> None:
    drawn = () if args.input else ("compare_modalities",)  # of a scene that is drawn, with its partner
    for name in _OF_SAR:
        if name not in drawn and getattr(args, name) not in (None, False):
            raise InputError(f"--{name.replace('_', '-')} is about the SAR partner of an image; name that too, by --sar")
