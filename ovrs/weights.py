"""Published weights: list them, fetch them into a cache, verify what is there.

    python -m ovrs.weights list                        every encoder and checkpoint that ovrs knows
    python -m ovrs.weights list sam                    those with "sam" in their row
    python -m ovrs.weights fetch openai/ViT-B-16 sam/ViT-L
    python -m ovrs.weights verify                      all that is in the cache

What was fetched is used by its name: MODEL.VISION_LANGUAGE.WEIGHTS openai/ViT-B-16 MODEL.GUIDANCE.WEIGHTS sam/ViT-L. Building
a model downloads nothing, so fetch where there is a network, before a job is queued. The cache is $OVRS_CACHE, or the folder of
torch hub; nodes that share it need one copy. A file is checked before it is used. docs/weights.md says more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ovrs.errors import OvrsError, WeightsError
from ovrs.modeling.published.cache import cache_folder, entry_of, is_here
from ovrs.modeling.published.download import fetch
from ovrs.modeling.published.entry import PublishedWeights
from ovrs.modeling.published.hashes import check, stated_hash
from ovrs.modeling.published.page import as_markdown
from ovrs.modeling.published.table import PUBLISHED

PARTS = {"vision_language": "vision-language", "guidance": "guidance", "image": "image", "text": "text", "system": "system"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 2 with a line on standard error for each thing that failed, or 130 where it was interrupted."""
    args = _parser().parse_args(arguments)
    try:
        folder = Path(args.cache).expanduser() if args.cache else cache_folder()
        return int(args.run(args, folder))
    except OvrsError as error:
        return _failed(error)
    except KeyboardInterrupt:
        print("interrupted; what came is kept, run it again to go on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ovrs.weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="list | fetch | verify")
    listing = commands.add_parser("list", help="show the table", description="Show the table of published weights.")
    listing.add_argument("words", nargs="*", help="only rows with all of these words in them (sam, guidance, apache ...)")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything that is known of each, for programs")
    form.add_argument("--markdown", action="store_true", help="the table of docs/weights.md")
    listing.set_defaults(run=_list)
    fetching = commands.add_parser(
        "fetch",
        help="download into the cache",
        description="Download into the cache. What is there stays; what was broken off is gone on with.",
        epilog="HF_TOKEN is sent to huggingface.co alone, for files whose owner wants a licence accepted.",
    )
    fetching.add_argument("names", nargs="+", metavar="NAME", help="as list shows them")
    fetching.add_argument(
        "--offline", action="store_true", help="do not use the network, say which file to put where (also OVRS_OFFLINE=1)"
    )
    fetching.set_defaults(run=_fetch)
    verifying = commands.add_parser(
        "verify",
        help="check files",
        description="Compare files with the hashes of the table, or those that the hub stated of them; then read them safely.",
    )
    verifying.add_argument("names", nargs="*", metavar="NAME|FILE", help="names, or paths (default: all that is in the cache)")
    verifying.set_defaults(run=_verify)
    for command in (listing, fetching, verifying):
        command.add_argument("--cache", metavar="DIR", help="the cache (default: $OVRS_CACHE, or torch hub's folder)")
    return parser


def _list(args: argparse.Namespace, folder: Path) -> int:
    rows = [entry for entry in PUBLISHED.values() if all(word.lower() in _text(entry) for word in args.words)]
    if args.json:
        here = [{**asdict(entry), "path": str(folder / entry.file) if is_here(entry, folder) else None} for entry in rows]
        print(json.dumps(here, indent=2))
    elif args.markdown:
        print(as_markdown(rows))
    else:
        table = [("NAME", "PART", "ARCHITECTURE", "SIZE", "LICENCE", "HERE")]
        table += [
            (
                entry.name,
                PARTS[entry.part],
                entry.architecture,
                f"{entry.megabytes} MB" if entry.megabytes else "?",
                entry.licence or "not stated",
                "yes" if is_here(entry, folder) else "",
            )
            for entry in rows
        ]
        widths = [max(len(row[column]) for row in table) for column in range(6)]
        for row in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print(f"\n{len(rows) or 'none'} of {len(PUBLISHED)}; cache: {folder}")
    return 0


def _fetch(args: argparse.Namespace, folder: Path) -> int:
    offline = args.offline or os.environ.get("OVRS_OFFLINE", "0") not in ("", "0")
    failures = 0
    for entry in [entry_of(name) for name in args.names]:
        try:
            print(fetch(entry, folder, offline=offline, progress=True))
        except OvrsError as error:
            failures = _failed(error)
    return failures


def _verify(args: argparse.Namespace, folder: Path) -> int:
    names = args.names or [entry.name for entry in PUBLISHED.values() if is_here(entry, folder)]
    if not names:
        print(f"{folder}: nothing of the table is here")
    failures = 0
    for name in names:
        try:
            print(_verified(name, folder))
        except OvrsError as error:
            failures = _failed(error)
    return failures


def _verified(name: str, folder: Path) -> str:
    path = Path(name)
    if os.path.isfile(path):  # a name too long for a file is none
        known = {Path(entry.file).parts: entry for entry in PUBLISHED.values()}
        tails = (path.absolute().parts[-length:] for length in (1, 2))  # links keep the name that is asked for
        entry = next((known[tail] for tail in tails if tail in known), None)
    else:
        entry = entry_of(name)
        path = folder / entry.file
        if not path.is_file():
            raise WeightsError(f"{name}: not in {folder}; python -m ovrs.weights fetch {name}")
    compared = check(path, entry, anew=True, progress=True) if entry else None
    from ovrs.modeling.weights_files import read_state_dict  # takes torch, which the other commands need not wait for

    tensors = len(read_state_dict(path))
    if entry is None:
        hashed = "not a file of the table, no hash compared"
    elif compared is None:
        hashed = "nobody states a hash of it, none compared"
    else:
        by = "table" if compared == stated_hash(entry) else "hub"
        digits = "" if len(compared.digits) in (32, 64) else f" (first {len(compared.digits)} digits)"
        hashed = f"{compared.algorithm}{digits} as the {by} has it"
    return f"{entry.name if entry else path}: {hashed}; readable, {tensors} tensors"


def _text(entry: PublishedWeights) -> str:
    return " ".join((entry.name, PARTS[entry.part], entry.architecture, entry.licence, entry.source)).lower()


def _failed(error: OvrsError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
