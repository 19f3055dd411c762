"""The preparation command of TSMNet's two data sets: pairs with SAR and texts, seven classes, 800 drawn to train."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from ovrs.data.preparation.command import command, whole
from ovrs.data.preparation.labels import from_indices
from ovrs.data.preparation.recipe import Pair, Recipe, drawn_split
from ovrs.data.preparation.source import Source
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS

TRAIN = 800
NOTE = "TSMNet's paper does not say which 800 pairs it trained on, so these are others: compare methods on one split."
# Labels 0 and 7 are both "others", as in TSMNet's public code.
CODES = {label: label % 7 for label in range(8)}


def drawn_pairs_command(
    about: str, name: str, pairs: Callable[[Source], list[Pair]], arguments: Sequence[str] | None = None
) -> int:
    """Run a preparation script, see :func:`~ovrs.data.preparation.command.command`.

    Args:
        about: the script's docstring.
        name: of the data set in the table.
        pairs: finds all of them, in an order that does not depend on the machine.
        arguments: the command line without the program.
    """

    def recipe(args: argparse.Namespace) -> Recipe:
        return Recipe(
            name=name,
            data=DATA_SETS[name],
            pairs=lambda source: drawn_split(pairs(source), TRAIN, args.seed),
            decode=from_indices(CODES),
            tiling=Tiling(args.tile, args.stride),
            parameters={"seed": args.seed, "train": TRAIN},
            note=NOTE,
        )

    def options(parser: argparse.ArgumentParser) -> None:
        help_ = f"of the draw of the {TRAIN} training pairs (default: %(default)s)"
        parser.add_argument("--seed", type=whole, default=0, help=help_)

    return command(about, recipe, arguments, tile=None, extend=options)
