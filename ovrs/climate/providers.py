"""Where sentences about a class in a zone come from: a bank, a rule, or any program that answers questions."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ovrs.climate.bank import PromptBank, Sentence
from ovrs.climate.check import answer_problems
from ovrs.climate.zones import zone_named
from ovrs.errors import ConfigError, DataError

Provider = Callable[[str, str], Sentence | None]
"""Zone and class in, the sentence out; None where there is none."""

PROVIDERS = ("bank", "template")
"""What a prompt can be made from at any time. A command is asked once, and its answers are kept in a bank."""

QUESTION = (
    "In one English sentence of at most {words} words, say how {name} looks from above in aerial or satellite images of a "
    "place with a {zone}, that is {weather}: its shape, colour and texture, and what is usually next to it there. "
    "Use the words '{name}'. Answer with the sentence alone."
)
"""What a command is asked; after the paper's template, which asks for shape, colour, texture and nearby objects."""


def from_bank(bank: PromptBank) -> Provider:
    """The provider that reads ``bank``."""
    return bank.sentence


def from_template(zone: str, name: str) -> Sentence:
    """A sentence by rule: the class and the words of its zone, and nothing that anyone knows beyond them.

    Raises:
        InputError: there is no such zone.
    """
    text = f"The image may show {' '.join(name.split())} in a place with {zone_named(zone).words}."
    return Sentence(text, "template: the words of ovrs/climate/zones.py")


@dataclass(frozen=True)
class Command:
    """A program that reads a question on standard input and answers on standard output, such as a language model's client.

    Attributes:
        line: the program and its arguments, as in a shell; no shell runs it.
        date: when it is asked, for the provenance.
        model: what it asks, as the provenance is to name it; "" names the program alone.
        seconds: it has to answer within these.
        words: most words of an answer.
        tries: how often it is asked before a bad answer counts.

    Raises:
        ConfigError: the line is empty or its quotes do not close.
    """

    line: str
    date: str
    seconds: float = 120.0
    words: int = 24
    tries: int = 2
    model: str = ""

    def __post_init__(self) -> None:
        if not self.arguments:
            raise ConfigError("no command to ask; give a program that reads a question and prints the answer")

    @property
    def arguments(self) -> list[str]:
        """The program and its arguments."""
        try:
            return shlex.split(self.line)
        except ValueError as error:
            raise ConfigError(f"the command cannot be cut into program and arguments: {error}") from error

    @property
    def provenance(self) -> str:
        """What banks keep of it: the program's own name, the model and the date; arguments and folders may be secrets."""
        model = f" --model {self.model}" if self.model else ""
        return f"command: {PurePath(self.arguments[0]).name}{model}; asked {self.date}"

    def question(self, zone: str, name: str) -> str:
        """What is asked about a class in a zone."""
        found = zone_named(zone)
        return QUESTION.format(words=self.words, name=name, zone=found.name, weather=found.words)

    def __call__(self, zone: str, name: str, synonyms: Sequence[str] = ()) -> Sentence:
        """The answer, checked: one sentence, short enough, about the class (by ``name`` or one of ``synonyms``).

        Raises:
            ConfigError: there is no such program.
            DataError: it fails, takes too long, or no answer of it is good.
        """
        problems: list[str] = []
        for _ in range(self.tries):
            text = " ".join(self._run(self.question(zone, name)).split()).strip('"')
            if not (problems := answer_problems(text, (name, *synonyms), self.words)):
                return Sentence(text, self.provenance)
        raise DataError(f"{name!r} in {zone}: the answer {text[:160]!r} of {self.arguments[0]} {'; '.join(problems)}")

    def _run(self, question: str) -> str:
        try:
            done = subprocess.run(
                self.arguments, input=question, capture_output=True, timeout=self.seconds, check=False, encoding="utf-8"
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"{self.arguments[0]} did not answer within {self.seconds:g} s; allow it more") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{self.arguments[0]} answered with what is no UTF-8 text") from error
        except OSError as error:
            raise ConfigError(f"command {self.arguments[0]!r} cannot be run: {error.strerror or error}") from error
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise DataError(f"{self.arguments[0]} failed with exit code {done.returncode}{': ' + said[-1] if said else ''}")
        return done.stdout
