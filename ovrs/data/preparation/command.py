"""The command line that every ``datasets/prepare_*.py`` shares."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ovrs.data.preparation.recipe import Recipe
from ovrs.data.preparation.run import Outcome, find_pairs, prepare
from ovrs.data.preparation.source import Source
from ovrs.data.root import data_root
from ovrs.errors import OvrsError

Extension = Callable[[argparse.ArgumentParser], object]

_SHARED = """
The source may be a folder with the archives as they were downloaded, in any folders below it, unpacked or not. Nothing is
written but what is described here, and each file whole: the command can be interrupted and given again, and goes on where it
was. What was made of what is written down beside the files (preparation.json).
"""


def command(
    about: str,
    build: Callable[[argparse.Namespace], Recipe],
    arguments: Sequence[str] | None = None,
    *,
    tile: int | None = 256,
    extend: Extension | None = None,
) -> int:
    """Run a preparation script.

    Args:
        about: the script's docstring, shown by ``--help``.
        build: the recipe for the given options (``args.tile``, ``args.stride`` and whatever ``extend`` added).
        arguments: the command line without the program; default ``sys.argv[1:]``.
        tile: the default of ``--tile``; None leaves images whole.
        extend: adds a data set's own options to the parser.

    Returns:
        0, 2 after an error (one line on standard error), 130 if interrupted.
    """
    parser = shared_parser(about)
    _add_tiling(parser, tile)
    if extend:
        extend(parser)
    args = parser.parse_args(arguments)

    def act() -> None:
        recipe = build(args)
        if args.dry_run:
            _show_plan(recipe, args.source)
        else:
            _show_outcome(recipe, prepare(recipe, args.source, args.output, args.workers, args.force), args.output)

    return exit_code(act)


def exit_code(act: Callable[[], None]) -> int:
    """Do it: 0, 2 after an error (one line on standard error), 130 if interrupted."""
    try:
        act()
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def shared_parser(about: str) -> argparse.ArgumentParser:
    """A parser with the options that all preparations have; ``about`` is what ``--help`` says."""
    parser = argparse.ArgumentParser(description=about + _SHARED, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with the archives as they were downloaded")
    parser.add_argument(
        "--output", type=Path, default=data_root(), help="root of all data sets (default: $DETECTRON2_DATASETS, or datasets)"
    )
    parser.add_argument("--workers", type=_positive, default=min(4, os.cpu_count() or 1), help="threads (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="remove what an earlier preparation left, and start anew")
    parser.add_argument("--dry-run", action="store_true", help="say what is there and what would be done; write nothing")
    return parser


def _add_tiling(parser: argparse.ArgumentParser, tile: int | None) -> None:
    shown = f"{tile}" if tile else "0: images stay whole"
    parser.add_argument("--tile", type=_count, default=tile, help=f"side of a tile in pixels, 0 for none (default: {shown})")
    parser.add_argument("--stride", type=_count, help="step between tiles in pixels (default: the side of a tile)")


def share(text: str) -> float:
    """The type of an option that takes a share, 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value


def whole(text: str) -> int:
    """The type of an option that takes a whole number from 0."""
    return _count(text) or 0


def _count(text: str) -> int | None:
    """A whole number from 0; 0 is "none"."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text) or None


def _positive(text: str) -> int:
    """A whole number from 1."""
    if not (number := _count(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return number


def _show_plan(recipe: Recipe, source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, Source(source, Path(scratch)) as files:
        pairs = find_pairs(recipe, files)
        print(f"{recipe.data.title}: {len(files.archives)} archives, {len(files.members):,} files, {len(pairs):,} images")
    for split in recipe.data.splits:
        print(f"  {split:<6} {sum(pair.split == split for pair in pairs):>7,} images -> {recipe.layout(split).images}")
    for key, value in recipe.description().items():
        print(f"  {key}: {value}")
    if recipe.note:
        print(recipe.note)


def _show_outcome(recipe: Recipe, outcome: Outcome, output: Path) -> None:
    if outcome.cut == 0:
        print("nothing to do: all tiles are there")
    print(f"{recipe.data.title} in {output / recipe.folder}")
    print(f"  {'split':<6} {'images':>9} {'dropped':>9} {'tiles':>9} {'published':>10}")
    for split, counts in outcome.counts.items():
        published = f"{recipe.published[split]:,}" if split in recipe.published else "-"
        print(f"  {split:<6} {counts.images:>9,} {counts.dropped:>9,} {counts.tiles:>9,} {published:>10}")
    differing = [split for split, n in recipe.published.items() if outcome.counts[split].tiles != n]
    if differing:
        note = f" {recipe.note}" if recipe.note else ""
        print(
            f"WARNING: {' and '.join(differing)} differ from the published counts: figures are not to be set beside "
            f"published ones.{note}",
            file=sys.stderr,
        )
