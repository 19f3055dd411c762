"""The prompt for an image: the sentences of its zone about the classes asked for, as many as the text encoder can read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ovrs.climate.bank import NEUTRAL, PromptBank, plain
from ovrs.climate.providers import PROVIDERS, Provider, from_bank, from_template
from ovrs.climate.seasons import SEASONS
from ovrs.climate.zones import zone_named
from ovrs.errors import ConfigError, InputError

__all__ = [
    "NEUTRAL",
    "PROVIDERS",
    "Prompt",
    "class_sentences",
    "climate_prompt",
    "estimated_tokens",
    "shipped_bank",
]


@dataclass(frozen=True)
class Prompt:
    """What the model is told of an image.

    Attributes:
        text: whole sentences.
        zone: the code of the zone that they are about; "" for the neutral prompt.
        left_out: the classes asked for of which it says nothing: no sentence is known, or there was no room for it.
    """

    text: str
    zone: str
    left_out: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def shipped_bank() -> PromptBank:
    """The bank that comes along, read once."""
    return PromptBank.load()


def estimated_tokens(text: str) -> int:
    """About how many word pieces BERT cuts ``text`` into, its two special tokens included; rather too many than too few."""
    parts = re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", text)
    return 2 + sum(1 if len(part) < 7 else math.ceil(len(part) / 6) for part in parts)


def climate_prompt(
    zone: str | None,
    names: Sequence[str],
    *,
    bank: PromptBank | None = None,
    provider: str = "bank",
    season: str = "",
    gsd: float = 0.0,
    most_tokens: int = 250,
    count: Callable[[str], int] | None = None,
) -> Prompt:
    """Merge the sentences of ``zone`` about the classes ``names``, in their order.

    A sentence that does not fit is left out as a whole and its class is named; shorter ones behind it may still fit. Two names
    of one class give its sentence once.

    Args:
        zone: its code; None where the place is not known, which gives :data:`NEUTRAL`. The same holds where there is a
            sentence for none of the classes.
        names: classes as the bank or a data set calls them, or synonyms.
        bank: for the provider ``bank``; None is the one that comes along.
        provider: ``bank``, or ``template``: a sentence by rule from the words of the zone and the name of the class.
        season: as :data:`ovrs.climate.seasons.SEASONS` says it, said behind; "" says nothing of it.
        gsd: ground sample distance in metres a pixel, said behind; 0 says nothing of it.
        most_tokens: what the text encoder reads, its special tokens included.
        count: the tokens of a text, special ones included, by the encoder's own tokenizer; None is a cautious estimate.

    Raises:
        InputError: no such zone or season, or no distance in ``gsd``.
        ConfigError: no such provider, or fewer tokens than the neutral prompt has.
    """
    count = estimated_tokens if count is None else count
    if most_tokens < (least := count(NEUTRAL)):
        raise ConfigError(f"a climate prompt of {most_tokens} tokens has no room for a sentence; give at least {least}")
    sentence = _provided(provider, bank)
    about = _about(season, gsd)
    if zone is None:
        return Prompt(_merged([NEUTRAL], about, most_tokens, count), "")
    code = zone_named(zone).code
    texts: list[str] = []
    left_out = []
    for name in dict.fromkeys(names):
        said = sentence(code, name)
        if said is not None and said.text in texts:
            continue
        if said is None or count(" ".join([*texts, said.text, *about])) > most_tokens:
            left_out.append(name)
        else:
            texts.append(said.text)
    if not texts:
        return Prompt(_merged([NEUTRAL], about, most_tokens, count), "", tuple(left_out))
    return Prompt(" ".join([*texts, *about]), code, tuple(left_out))


def class_sentences(
    zone: str | None, names: Sequence[str], *, bank: PromptBank | None = None, provider: str = "bank"
) -> tuple[str, ...]:
    """The sentence of ``zone`` about each of the classes ``names``, "" where there is none: for systems that read them apart.

    Args:
        zone: its code; None where the place is not known, of which nothing is said.
        names, bank, provider: see :func:`climate_prompt`.

    Raises:
        InputError: no such zone.
        ConfigError: no such provider.
    """
    sentence = _provided(provider, bank)
    said = [None if zone is None else sentence(zone_named(zone).code, name) for name in names]
    return tuple("" if found is None else found.text for found in said)


def _provided(provider: str, bank: PromptBank | None) -> Provider:
    """What gives sentences. The bank that comes along is not read before it is asked for one."""
    if provider not in PROVIDERS:
        raise ConfigError(f"no provider {provider!r} of climate prompts; choose from {', '.join(PROVIDERS)}")
    if provider == "template":
        return from_template
    return lambda zone, name: from_bank(shipped_bank() if bank is None else bank)(zone, name)


def _about(season: str, gsd: float) -> list[str]:
    """The sentences about the image as a whole."""
    if season and plain(season) not in SEASONS.values():
        raise InputError(f"no season {season!r}; choose from {', '.join(SEASONS.values())}")
    if not math.isfinite(gsd) or gsd < 0:
        raise InputError(f"a ground sample distance of {gsd} metres a pixel; give one above 0, or 0 for none")
    about = [f"It was taken in {plain(season)}."] if season else []
    # Two digits: images of one data set get one prompt, though their pixels differ by a millimetre.
    return [*about, f"A pixel is {float(f'{gsd:.2g}'):g} metres wide."] if gsd else about


def _merged(texts: list[str], about: list[str], most_tokens: int, count: Callable[[str], int]) -> str:
    """``texts``, and of ``about`` what fits behind them."""
    for text in about:
        if count(" ".join([*texts, text])) <= most_tokens:
            texts = [*texts, text]
    return " ".join(texts)
