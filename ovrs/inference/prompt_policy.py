"""What a model that reads places was told in training, and so is told in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovrs.climate.prompts import shipped_bank
from ovrs.inference.addresses import version_of
from ovrs.inference.climate_options import ClimateOptions, read_bank

if TYPE_CHECKING:
    from ovrs.climate.bank import PromptBank

# Tokens that a prompt may have where nothing says so: those of MetaSegNet (Wang et al. 2024).
MOST_TOKENS = 250


@dataclass(frozen=True)
class PromptPolicy:
    """Where the sentences come from, and what they are about.

    Attributes:
        provider: ``bank``, ``template``, or ``neutral``: every image is told the same. Sentences on classes are never neutral.
        bank: a prompt bank in place of the one that comes along.
        classes: what every prompt is about, whatever is asked for; () is what is asked for.
        most_tokens: of a prompt.
    """

    provider: str = "bank"
    bank: Path | None = None
    classes: tuple[str, ...] = ()
    most_tokens: int = MOST_TOKENS

    def sentences(self, options: ClimateOptions, *, of_classes: bool = False) -> tuple[str, PromptBank | None]:
        """The provider and its bank, None for the one that comes along; a bank that the user names comes before all others.

        Args:
            of_classes: for sentences on classes.

        Raises:
            DataError: the bank cannot be read.
        """
        if options.bank is not None:
            return "bank", options.prompt_bank()
        if self.provider == "template" or (self.provider == "neutral" and not of_classes):
            return self.provider, None
        return "bank", None if self.bank is None else read_bank(self.bank)

    def source(self, options: ClimateOptions, *, of_classes: bool = False) -> str:
        """Provider, and version and file of the bank, for people.

        Raises:
            DataError: the bank cannot be read.
        """
        provider, bank = self.sentences(options, of_classes=of_classes)
        if provider != "bank":
            return provider
        file = options.bank or self.bank
        return f"bank {(bank or shipped_bank()).version}{'' if file is None else f' ({Path(file).name})'}"

    def state(self, options: ClimateOptions) -> str:
        """What tells one state of what sentences come from, and of the user's files, from another."""
        bank = f"bank {shipped_bank().version}" if self.bank is None else version_of(self.bank)
        return ", ".join(filter(None, (options.versions, str(self), bank)))


def build_prompt_policy(keys: Mapping[str, Any]) -> PromptPolicy:
    """The policy of a configuration: of its keys in :data:`ovrs.config_places.PLACE_KEYS`."""
    bank = keys["DATASETS.CLIMATE.BANK"]
    return PromptPolicy(
        keys["DATASETS.CLIMATE.PROMPTS"] or "neutral",
        Path(bank) if bank else None,
        tuple(keys["DATASETS.CLIMATE.CLASSES"]),
        min(keys["DATASETS.CLIMATE.TOKENS"], keys["MODEL.TEXT.MAX_TOKENS"]),
    )
