"""What the demo's command line asks of every image: words, or one sentence after the other. Imports no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from ovrs.errors import VocabularyError
from ovrs.inference.command_line import share
from ovrs.inference.sentence import How, Sentence
from ovrs.vocabulary import Background, Vocabulary
from ovrs.vocabulary_files import presets

if TYPE_CHECKING:
    from ovrs.inference.sar_options import Modalities

DEFAULT_VOCABULARY = "ship|boat, bridge, building|house, road, tree, water, cropland, bare soil"

Question = Vocabulary | Sentence


def add_question_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the groups "words", "sentences" and "background"."""
    either = parser.add_argument_group("words, or sentences")
    words = either.add_mutually_exclusive_group()
    words.add_argument("--vocab", metavar="WORDS", help=f'comma list, synonyms behind bars (default: "{DEFAULT_VOCABULARY}")')
    words.add_argument("--preset", metavar="NAME", help="a ready vocabulary, see --list-presets")
    words.add_argument("--vocab-file", metavar="FILE", help="classes from a .txt, .json or .yaml file")
    words.add_argument(
        "--expression",
        action="append",
        metavar="SENTENCE",
        help="the mask of what a sentence says, as 'the ship on the left'; commas are part of it; several are answered one "
        "after the other",
    )
    either.add_argument(
        "--grounding",
        choices=get_args(How),
        help="a sentence over a large scene: every window by itself, or the whole scene at once, reduced to one window; auto "
        "is whole where the sentence says left, top, corner or the like, or the scene fits into about one window "
        "(default: auto)",
    )
    either.add_argument("--list-presets", action=ListPresets, nargs=0, help="print the ready vocabularies and stop")
    either.add_argument(
        "--synonyms", choices=("max", "mean"), help="score a class by its best word, or by the mean of its words (default: max)"
    )
    policy = parser.add_argument_group("background")
    policy.add_argument(
        "--background",
        metavar="none|WORDS",
        help="words that stand for everything else; none drops the vocabulary file's own background, or leaves a sentence "
        "to the threshold alone (default for a sentence: words that cover most images, unless the model reads sentences)",
    )
    policy.add_argument(
        "--confidence-threshold",
        type=share,
        metavar="T",
        help="below this confidence (0..1) a pixel is background (default for a sentence without words beside it: 0.5)",
    )


def read_questions(args: argparse.Namespace) -> list[Question]:
    """What is asked, as the arguments say: one vocabulary, or the sentences.

    Raises:
        VocabularyError: no words, a word twice, no sentence, or what belongs to the other of the two.
    """
    if args.expression is None:
        if args.grounding is not None:
            raise VocabularyError("--grounding says how a sentence is read; give one with --expression, or leave it out")
        return [_vocabulary(args)]
    if args.synonyms is not None:
        raise VocabularyError("--synonyms is for words; a sentence is taken whole")
    others = None if args.background is None else _background(args).words
    sentences = [Sentence(text, args.grounding or "auto", args.confidence_threshold, others) for text in args.expression]
    for number, sentence in enumerate(sentences):
        if sentence in sentences[:number]:
            raise VocabularyError(f"--expression {sentence.text!r} is given twice")
    return [*sentences]


def endings(questions: Sequence[Question]) -> list[str]:
    """What tells the results of each question from the others': nothing where there is one, else words of the sentence."""
    if len(questions) == 1:
        return [""]
    found: list[str] = []
    for number, question in enumerate(questions, 1):
        slug = question.slug if isinstance(question, Sentence) else ""
        found.append(f".{number}" if f".{slug}" in found or not slug else f".{slug}")
    return found


def in_words(question: Question, modalities: Modalities = "both") -> str:
    """A line that says what is asked, and of which of an image and its SAR partner."""
    alone = {"both": "", "optical": " (optical only)", "sar": " (SAR only)"}[modalities]
    if isinstance(question, Sentence):
        return f"sentence: {question.text}{alone}"
    return f"classes: {', '.join(question.names)}{alone}"


class ListPresets(argparse.Action):
    """Print the ready vocabularies and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Called where the option stands."""
        for name, purpose in presets().items():
            print(f"{name:12} {purpose}: {', '.join(Vocabulary.preset(name).names)}")
        parser.exit()


def _vocabulary(args: argparse.Namespace) -> Vocabulary:
    if args.vocab_file is not None:
        vocabulary = Vocabulary.read(args.vocab_file)
    elif args.preset is not None:
        vocabulary = Vocabulary.preset(args.preset)
    else:
        vocabulary = Vocabulary.parse(DEFAULT_VOCABULARY if args.vocab is None else args.vocab)
    if args.background is not None:
        vocabulary = vocabulary.with_background(_background(args))
    if args.confidence_threshold is not None and vocabulary.background.policy != "words":
        vocabulary = vocabulary.with_background(Background("threshold", threshold=args.confidence_threshold))
    return vocabulary if args.synonyms is None else replace(vocabulary, synonyms=args.synonyms)


def _background(args: argparse.Namespace) -> Background:
    words = tuple(word for word in args.background.split(",") if word.strip())
    if not words:
        raise VocabularyError("--background names no word; give some, or none")
    return Background() if args.background.strip().casefold() == "none" else Background("words", words)
