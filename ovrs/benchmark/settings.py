"""What is measured: a system, what it is given, and how it is asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.vocabulary import Vocabulary
from ovrs.vocabulary_files import presets

Mode = Literal["inference", "training", "text"]
Form = Literal["fast", "plain"]
# The system that has a plain form (ovrs.engine.plain_form), of which OVRS and CAT-Seg are settings.
WITH_PLAIN_FORM = "AerOSeg"


@dataclass(frozen=True)
class Setting:
    """One thing to measure.

    Attributes:
        config_file: the system.
        size: the images' side in pixels.
        classes: names in the vocabulary.
        batch: images at a time.
        rotations: so many quarter turns of the ensemble; None leaves the configuration's.
        precision: of the forward pass, fp32, bf16 or fp16.
        form: ``plain`` is what the public code of the peers computes.
        mode: ``inference`` is one pass, its words embedded already; ``training`` a pass forwards and backwards, words
            included, without the optimizer's step; ``text`` embeds the words.
        threads: CPU threads; 0 leaves PyTorch's choice.
        options: KEY VALUE pairs that override the configuration.
    """

    config_file: str
    size: int = 384
    classes: int = 17
    batch: int = 1
    rotations: int | None = None
    precision: str = "fp32"
    form: Form = "fast"
    mode: Mode = "inference"
    threads: int = 0
    options: tuple[str, ...] = ()

    @property
    def overrides(self) -> list[str]:
        """KEY VALUE pairs for the configuration; what the user says comes last."""
        # Values of weights change no time, and nothing shall depend on which files are there.
        keys = ["MODEL.PRECISION", self.precision, "MODEL.GUIDANCE.CACHE", ""]
        keys += [word for part in ("VISION_LANGUAGE", "GUIDANCE") for word in (f"MODEL.{part}.WEIGHTS", "")]
        if self.rotations is not None:
            keys += ["MODEL.VISION_LANGUAGE.ROTATIONS", str([*range(self.rotations)])]
        return [*keys, *self.options]

    @property
    def vocabulary(self) -> Vocabulary:
        """As many names of the ready vocabularies, so that prompts are as long as in use; behind the last, numbered things."""
        ready = dict.fromkeys(cls.name for preset in presets() for cls in Vocabulary.preset(preset).classes)
        numbered = (f"thing {number}" for number in itertools.count())
        return Vocabulary.from_names(itertools.islice(itertools.chain(ready, numbered), self.classes))

    @property
    def cell(self) -> Setting:
        """What it has in common with all that it is compared with: systems, forms and precisions may differ."""
        return replace(self, config_file="", form="fast", precision="fp32")

    @property
    def reference(self) -> Setting:
        """What its time is a multiple of, where that is measured as well: the plain form in single precision."""
        return replace(self, form="plain", precision="fp32")

    def check(self) -> None:
        """Say what can be said before anything is built.

        Raises:
            ConfigError: the configuration cannot be read, or a number makes no sense.
        """
        least = min(self.size, self.classes, self.batch)
        if least < 1 or (self.rotations is not None and not 1 <= self.rotations <= 4):
            raise ConfigError(
                f"{self.size} pixels, {self.classes} classes, {self.batch} images at a time, {self.rotations} rotations: at "
                "least 1 of each is needed, and at most 4 rotations"
            )
        load_config(self.config_file, self.overrides)


def product(
    config_files: Iterable[str],
    *,
    sizes: Sequence[int],
    classes: Sequence[int],
    batches: Sequence[int],
    rotations: Sequence[int | None],
    precisions: Sequence[str],
    modes: Sequence[Mode],
    plain: bool,
    threads: int = 0,
    options: Sequence[str] = (),
) -> list[Setting]:
    """Every combination, each once; with ``plain`` also the plain form of those that have one, in single precision.

    Raises:
        ConfigError: one of them cannot be measured.
    """
    settings: list[Setting] = []
    every = list(itertools.product(modes, sizes, batches, rotations, classes))
    for (mode, size, batch, turns, names), name in itertools.product(every, config_files):
        for precision in precisions:
            setting = Setting(name, size, names, batch, turns, precision, "fast", mode, threads, tuple(options))
            setting.check()
            settings.append(setting)
        if plain and load_config(name, setting.overrides).MODEL.META_ARCHITECTURE == WITH_PLAIN_FORM:
            settings.append(setting.reference)
    return list(dict.fromkeys(settings))


def groups(settings: Sequence[Setting], most: int) -> list[list[Setting]]:
    """Those that stand ready together and take turns, at most ``most`` at a time.

    What is compared comes first: the forms and precisions of one system stay together, even if they are more, and the systems
    of one cell as far as they fit. Cells that fit beside each other join, so that a slow moment is shared by all their rows.
    """
    found: list[list[Setting]] = [[]]
    for cell in dict.fromkeys(setting.cell for setting in settings):
        here = [setting for setting in settings if setting.cell == cell]
        if len(found[-1]) + len(here) > most:
            found.append([])
        for name in dict.fromkeys(setting.config_file for setting in here):
            system = [setting for setting in here if setting.config_file == name]
            if len(found[-1]) + len(system) > most:
                found.append([])
            found[-1] += system
    return [group for group in found if group]
