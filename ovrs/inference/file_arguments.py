"""What the demo's command line says of files: which images, how they are read, and what is written. Imports no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ovrs.errors import InputError
from ovrs.inference.climate_arguments import climate_options
from ovrs.inference.command_line import folder_name, share, whole_number
from ovrs.inference.pair_arguments import sar_options

if TYPE_CHECKING:
    from ovrs.inference.reading import ReadOptions


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group "images"."""
    files = parser.add_argument_group("images")
    files.add_argument(
        "--input",
        nargs="+",
        action="extend",
        metavar="IMAGE",
        default=[],
        help="PNG, JPEG, WebP or GeoTIFF files, or patterns; without it a scene is drawn, for a model that reads SAR and "
        "descriptions with both",
    )
    files.add_argument(
        "--output", type=folder_name, metavar="DIR", default="output/demo", help="folder for the results (default: %(default)s)"
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
    files.add_argument(
        "--clouds",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="cover so much of the drawn scene by clouds (0..1), through which its SAR partner sees (default: none)",
    )


def read_options(args: argparse.Namespace) -> ReadOptions:
    """How files are read, as the arguments say.

    Raises:
        InputError: bands, values or settings that there cannot be, or clouds over what is not drawn.
    """
    if args.clouds and args.input:
        raise InputError("--clouds are drawn over the scene that is drawn without --input; leave one of the two out")
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
        sar=sar_options(args),
        climate=climate_options(args),
    )
