"""What is said of an image by the climate zone of its place: a prompt for the whole image, a sentence for each class.

Neither knows what the image shows: both follow from the place and from the names that are asked for, and so they are the same
for an image with and without labels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from torch.utils.data import get_worker_info

from ovrs.climate.bank import NEUTRAL, PromptBank
from ovrs.climate.prompts import Prompt, class_sentences, climate_prompt, estimated_tokens, shipped_bank
from ovrs.climate.zones import zone_named
from ovrs.data.catalog import register_files
from ovrs.data.file_places import check_lookup, metres_a_pixel, zone_of_file
from ovrs.data.refused import refused_key
from ovrs.data.table import ANYWHERE
from ovrs.errors import ConfigError, DataError, InputError
from ovrs.vocabulary import MAX_DESCRIPTION

logger = logging.getLogger(__name__)

# Where what is said of an image comes from (DATASETS.CLIMATE.PROMPTS); "" says nothing.
PROMPTS = ("", "neutral", "bank", "template")
# Classes that a warning names.
_MOST_NAMED = 12


@dataclass(frozen=True)
class Circumstances:
    """Where and when an image was taken, as far as it is known.

    Attributes:
        zone: the code of the climate zone; None where the place, or the zone there, is not known.
        season: as prompts say it, "the dry season"; "" where it is not known.
        gsd: metres a pixel of the image as it is stored; 0 where it is not known.
    """

    zone: str | None = None
    season: str = ""
    gsd: float = 0.0


class ClimateText:
    """Sentences for the entries of data sets. What is found out about an entry is kept.

    Args:
        prompts: one of ``PROMPTS``.
        zone: code of the zone that all images are told; "" = that of each place.
        raster: a climate map in place of the one that comes along; see :func:`ovrs.climate.lookup.zone_at`.
        bank: the sentences; None = the bank that comes along.
        classes: what the prompt is about; () = the names that are asked for.
        most_tokens: of a prompt, by a cautious estimate of how BERT cuts it.
        season, gsd: say them too, where they are known.
        class_sentences: whether classes get sentences of their own.

    Raises:
        ConfigError: an argument that cannot work; the message names its key.
    """

    def __init__(
        self,
        *,
        prompts: str = "bank",
        zone: str = "",
        raster: Path | None = None,
        bank: PromptBank | None = None,
        classes: Sequence[str] = (),
        most_tokens: int = 250,
        season: bool = False,
        gsd: bool = False,
        class_sentences: bool = False,
    ) -> None:
        if prompts not in PROMPTS:
            raise refused_key("CLIMATE.PROMPTS", prompts, f'"" for none, or choose {", ".join(PROMPTS[1:])}')
        if most_tokens < (least := estimated_tokens(NEUTRAL)):
            raise refused_key("CLIMATE.TOKENS", most_tokens, f"give at least {least}, which {NEUTRAL!r} takes")
        self.zone, self.raster = _known_zone(zone), raster
        self.prompts, self.classes, self.most_tokens = prompts, tuple(classes), most_tokens
        self.season, self.gsd, self.class_sentences = season, gsd, class_sentences
        reads_bank = prompts == "bank" or (class_sentences and prompts != "template")
        self.bank = (bank or shipped_bank()) if reads_bank else None
        if self.bank is not None and (unknown := [name for name in self.classes if self.bank.class_named(name) is None]):
            raise refused_key(
                "CLIMATE.CLASSES", unknown[0], f"the prompt bank has {len(self.bank.classes)} classes, and none of this name"
            )
        self._known: dict[tuple[str, str], Circumstances] = {}
        self._said: dict[tuple[Circumstances, tuple[str, ...]], str] = {}
        self._named: set[tuple[str, ...]] = set()

    def description(self, entry: dict[str, Any], names: Sequence[str]) -> str | None:
        """What is said of the image of an entry; None where nothing is to be said of any.

        Args:
            entry: with ``dataset_name`` and what the image is read or drawn from.
            names: the classes in use, of which the prompt speaks unless others were given.

        Raises:
            InputError: the zone of its place cannot be looked up.
            ConfigError: the prompt is longer than a description may be.
        """
        if not self.prompts:
            return None
        if self.prompts == "neutral":
            return NEUTRAL
        known, about = self.circumstances(entry), self.classes or tuple(names)
        if (known, about) not in self._said:
            self._said[known, about] = self._prompt(known, about)
        return self._said[known, about]

    def _prompt(self, known: Circumstances, about: tuple[str, ...]) -> str:
        prompt = climate_prompt(
            known.zone,
            about,
            bank=self.bank,
            provider=self.prompts,
            season=known.season,
            gsd=known.gsd,
            most_tokens=self.most_tokens,
        )
        self._name_left_out(prompt, about)
        if len(prompt.text) > MAX_DESCRIPTION:
            limit = f"which makes prompts of {len(prompt.text):,} characters; {MAX_DESCRIPTION:,} are allowed"
            raise refused_key("CLIMATE.TOKENS", self.most_tokens, limit)
        return prompt.text

    def _name_left_out(self, prompt: Prompt, about: tuple[str, ...]) -> None:
        """Say once for each list of classes that a prompt is not about all of them; of several workers the first does."""
        worker = get_worker_info()
        if not prompt.left_out or about in self._named or (worker is not None and worker.id):
            return
        self._named.add(about)
        more = f" and {count} more" if (count := len(prompt.left_out) - _MOST_NAMED) > 0 else ""
        logger.warning(
            "of %d classes the prompt (%s) says nothing of %s%s; name those that matter: DATASETS.CLIMATE.CLASSES",
            *(len(about), prompt.zone or "neutral", ", ".join(prompt.left_out[:_MOST_NAMED]), more),
        )

    def class_descriptions(self, entry: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
        """A sentence for each of the classes in the zone of an entry, "" for none; () where they are to have none at all.

        Raises:
            InputError: the zone of its place cannot be looked up.
        """
        zone = self.circumstances(entry).zone if self.class_sentences else None
        if zone is None:
            return ()
        provider = "bank" if self.prompts != "template" else "template"
        return class_sentences(zone, names, bank=self.bank, provider=provider)

    def circumstances(self, entry: dict[str, Any]) -> Circumstances:
        """Where and when the image of an entry was taken; season and metres a pixel only where they are to be said."""
        key = entry["dataset_name"], entry["file_name"]
        if key not in self._known:
            self._known[key] = self._of_scene(entry) if "scene_seed" in entry else self._of_file(entry)
        return self._known[key]

    def _of_scene(self, entry: dict[str, Any]) -> Circumstances:
        from ovrs.data.scenes.scene import scene_setting

        places = entry.get("scene_regions", ANYWHERE).places
        setting, gsd = scene_setting(entry["scene_seed"], entry["scene_index"], size=entry["scene_size"], places=places)
        season = f"the {setting.season}" if setting.season.endswith("season") else setting.season
        return Circumstances(self.zone or setting.climate, season if self.season else "", _rounded(gsd) if self.gsd else 0.0)

    def _of_file(self, entry: dict[str, Any]) -> Circumstances:
        path = Path(entry["file_name"])
        zone = self.zone or zone_of_file(path, entry["dataset_name"], self.raster)
        return Circumstances(zone, gsd=_rounded(metres_a_pixel(path)) if self.gsd else 0.0)


def build_climate_text(cfg: CfgNode, is_train: bool = True) -> ClimateText | None:
    """What ``DATASETS.CLIMATE`` asks for; None where that is nothing.

    Zones are tried to be looked up, where the data sets in use need it: those of ``DATASETS.TEST``, and in training all.

    Raises:
        ConfigError: a key cannot work, or zones that are needed cannot be looked up.
    """
    keys = cfg.DATASETS.CLIMATE
    if not keys.PROMPTS and not keys.CLASS_SENTENCES:
        return None
    try:
        bank = PromptBank.load(Path(keys.BANK)) if keys.BANK else None
    except DataError as error:
        raise ConfigError(f"DATASETS.CLIMATE.BANK: {error}") from error
    raster = Path(keys.RASTER) if keys.RASTER else None
    text = ClimateText(
        prompts=keys.PROMPTS,
        zone=keys.ZONE,
        raster=raster,
        bank=bank,
        classes=keys.CLASSES,
        most_tokens=keys.TOKENS,
        season=keys.SEASON,
        gsd=keys.GSD,
        class_sentences=keys.CLASS_SENTENCES,
    )
    if not text.zone and (keys.PROMPTS in ("bank", "template") or keys.CLASS_SENTENCES):
        register_files(cfg.DATASETS.FILES)
        check_lookup([*(cfg.DATASETS.TRAIN if is_train else ()), *cfg.DATASETS.TEST], raster)
    return text


def refuse_climate(cfg: CfgNode) -> None:
    """Refuse ``DATASETS.CLIMATE`` where nothing reads it: sentences that mean one thing each are said of no place.

    Raises:
        ConfigError: it asks for something.
    """
    for key in ("PROMPTS", "CLASS_SENTENCES"):
        if value := cfg.DATASETS.CLIMATE[key]:
            raise refused_key(f"CLIMATE.{key}", value, "it is for DATASETS.TASK segmentation; leave it out")


def _rounded(gsd: float) -> float:
    """Metres to two digits, as prompts say them: so few prompts differ."""
    return float(f"{gsd:.2g}")


def _known_zone(code: str) -> str:
    try:
        return zone_named(code).code if code else ""
    except InputError as error:
        raise refused_key("CLIMATE.ZONE", code, str(error)) from error
