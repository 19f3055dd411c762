"""The command line of the scripts that prepare referring data sets."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ovrs.data.preparation.command import Extension, exit_code, shared_parser
from ovrs.data.preparation.references import ReferringOutcome, ReferringRecipe, find_things, prepare_references
from ovrs.data.preparation.source import Source


def references_command(
    about: str,
    build: Callable[[argparse.Namespace], ReferringRecipe],
    arguments: Sequence[str] | None = None,
    *,
    extend: Extension | None = None,
) -> int:
    """Run a preparation script.

    Args:
        about: the script's docstring, shown by ``--help``.
        build: the recipe for the given options.
        arguments: the command line without the program; default ``sys.argv[1:]``.
        extend: adds a data set's own options to the parser.

    Returns:
        0, 2 after an error (one line on standard error), 130 if interrupted.
    """
    parser = shared_parser(about)
    if extend:
        extend(parser)
    args = parser.parse_args(arguments)

    def act() -> None:
        recipe = build(args)
        if args.dry_run:
            _show_plan(recipe, args.source)
        else:
            _show_outcome(recipe, prepare_references(recipe, args.source, args.output, args.workers, args.force), args.output)

    return exit_code(act)


def _show_plan(recipe: ReferringRecipe, source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, Source(source, Path(scratch)) as files:
        found = find_things(recipe, files)
        print(f"{recipe.data.title}: {len(files.archives)} archives, {len(files.members):,} files")
    for split in recipe.data.splits:
        print(f"  {split:<6} {sum(thing.split == split for thing in found.things):>7,} references -> {recipe.lines(split)}")


def _show_outcome(recipe: ReferringRecipe, outcome: ReferringOutcome, output: Path) -> None:
    if not outcome.written:
        print("nothing to do: all files are there")
    print(f"{recipe.data.title} in {output / recipe.folder}")
    print(f"  {'split':<6} {'references':>10} {'sentences':>10} {'published':>10}")
    published = recipe.data.expected_counts
    for split in recipe.data.splits:
        count = f"{published[split]:,}" if split in published else "-"
        print(f"  {split:<6} {outcome.references[split]:>10,} {outcome.sentences[split]:>10,} {count:>10}")
    if outcome.stretched:
        print(f"  masks brought to the size of their image: {outcome.stretched:,}")
    if outcome.without_image:
        print(f"  left out, their image being missing: {outcome.without_image:,}")
    if recipe.note:
        print(recipe.note)
    differing = [split for split, count in published.items() if outcome.references[split] != count]
    if differing:
        names = " and ".join(differing)
        print(
            f"WARNING: {names} differ from the published counts: no figure is to be set beside published ones", file=sys.stderr
        )
