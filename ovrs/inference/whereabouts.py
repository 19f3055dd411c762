"""Where an image was taken, and the prompt that tells a model so: from its own coordinates, or from what the user says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

from ovrs.climate import places
from ovrs.climate.prompts import NEUTRAL, class_sentences, climate_prompt
from ovrs.climate.seasons import SEASONS
from ovrs.climate.zones import Zone
from ovrs.inference.addresses import Location
from ovrs.inference.climate_options import ClimateOptions
from ovrs.inference.image_place import grid_of_file, pixel_size, place_and_zone
from ovrs.inference.prompt_policy import MOST_TOKENS, PromptPolicy

if TYPE_CHECKING:
    from ovrs.inference.reading import ReadOptions
    from ovrs.inference.segmented import Place as Grid
    from ovrs.vocabulary import Vocabulary

# Columns of what is printed.
_WIDTH = 100


@dataclass(frozen=True)
class Whereabouts:
    """What a model that reads descriptions of places is told of an image, and why.

    Attributes:
        text: the prompt.
        place: where the image was taken; None where that is not known, or not asked for.
        zone: the climate zone there; None likewise.
        zone_by: who says the zone, where it is not looked up at the place.
        lacked: what a climate prompt lacked, so that the prompt is neutral; "" where it lacked nothing.
        left_out: classes of which the prompt says nothing.
        own: the prompt is the user's own description.
        untold: the model has learnt from one neutral prompt for all images, so its place is not looked for.
        of_training: the prompt is about the classes of the training, whatever is asked for.
        bank: where its sentences come from; "" where there are none.
    """

    text: str
    place: places.Place | None = None
    zone: Zone | None = None
    zone_by: str = ""
    lacked: str = ""
    left_out: tuple[str, ...] = ()
    own: bool = False
    untold: bool = False
    of_training: bool = False
    bank: str = ""

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        options: ClimateOptions,
        grid: Grid | None = None,
        policy: PromptPolicy = PromptPolicy(),  # noqa: B008 - it is frozen
        *,
        gsd: float | None = None,
        most_tokens: int = MOST_TOKENS,
        count: Callable[[str], int] | None = None,
    ) -> Whereabouts:
        """Find the place and its zone, and compose the prompt from the sentences about the classes (by their first words).

        They are the classes of the policy, where it has any, else the vocabulary's.

        Args:
            vocabulary: a description of its own stands, and nothing else is looked for.
            grid: the image's, whose coordinates say where it lies unless the options do; of a drawn scene its zone, too.
            policy: what the model was told in training.
            gsd: metres a pixel at which the model sees the image; None is the grid's own.
            most_tokens: that the model can read; the policy may have fewer.
            count: see :func:`ovrs.climate.prompts.climate_prompt`.

        Raises:
            InputError: the climate raster cannot be read, or the package that knows zones is missing.
            DataError: the prompt bank cannot be read.
        """
        if vocabulary.description:
            return cls(vocabulary.description, own=True)
        provider, bank = policy.sentences(options)
        if provider == "neutral":
            return cls(NEUTRAL, untold=True)
        place, zone, by = place_and_zone(options, grid)
        prompt = climate_prompt(
            None if zone is None else zone.code,
            policy.classes or [each.name for each in vocabulary.classes],
            bank=bank,
            provider=provider,
            season=SEASONS.get(options.season, ""),
            gsd=pixel_size(grid, gsd) if options.say_pixel_size else 0.0,
            most_tokens=min(most_tokens, policy.most_tokens),
            count=count,
        )
        if lacked := _lacked(place, zone, something=bool(prompt.zone)):
            return cls(prompt.text, place, zone, by, lacked)
        source, of_training = policy.source(options), bool(policy.classes)
        return cls(prompt.text, place, zone, by, left_out=prompt.left_out, of_training=of_training, bank=source)

    def tell(self, vocabulary: Vocabulary) -> Vocabulary:
        """The vocabulary that the model is asked, with what it is told."""
        return vocabulary.with_description(self.text)

    @property
    def hint(self) -> str:
        """What is to be said where nobody knows the place, or the model was never told of one; "" otherwise."""
        if self.untold:
            return (
                "this model has learnt from one prompt for all images (DATASETS.CLIMATE.PROMPTS of its configuration), and is "
                f"told the same: {self.text!r}; where an image was taken changes nothing, unless --prompt-bank names sentences"
            )
        return self._hint("a description of the place", f"is told {self.text!r}") if self.lacked == "a place" else ""

    @staticmethod
    def _hint(reads: str, instead: str) -> str:
        return (
            f"this model reads {reads} where an image was taken, and nothing says where that is: it {instead}; name the place "
            "by --location, --region or --zone (ClimateOptions in Python)"
        )

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """For the tags of what is written, beside the prompt itself."""
        found = {
            "PLACE": "" if self.place is None else str(self.place),
            "CLIMATE_ZONE": "" if self.zone is None else self.zone.code,
            "PROMPT_BANK": self.bank,
        }
        return tuple((name, value) for name, value in found.items() if value)

    @property
    def where(self) -> str:
        """Place and zone in one line."""
        if self.own:
            return "place: not asked for, since what is said of the scene is given"
        if self.untold:
            return "place: not asked for, since the model has learnt from one prompt for all images"
        place = "not known" if self.place is None else str(self.place)
        if self.zone is not None:
            by = f" ({self.zone_by})" if self.zone_by else ""
            return f"place: {place}; zone {self.zone.code}, {self.zone.name}{by}"
        if self.place is not None:
            return f"place: {place}; no climate zone there, as on the open sea; one can be named by --zone"
        return f"place: {place}; name it by --location, --region or --zone"

    @property
    def lines(self) -> tuple[str, ...]:
        """Place and zone, the prompt, and of which classes it says nothing."""
        kinds = {
            "the description given": self.own,
            "neutral, as in its training": self.untold,
            f"neutral, for lack of {self.lacked}": self.lacked,
            "on the classes of its training": self.of_training,
        }
        kind = next((f" ({kind})" for kind, holds in kinds.items() if holds), "")
        silent = (f"nothing is said of: {', '.join(self.left_out)}",) if self.left_out else ()
        return (self.where, f"prompt{kind}: {self.text}", *silent)

    def __str__(self) -> str:
        """The same for a terminal: a line for place and zone, the prompt wrapped below."""
        return "\n".join([self.lines[0], *(fill(line, _WIDTH, subsequent_indent="  ") for line in self.lines[1:])])


@dataclass(frozen=True)
class ClassWhereabouts(Whereabouts):
    """The same for a model that reads a sentence on each class there (``Vocabulary.class_descriptions``).

    Attributes:
        text: all sentences.
        sentences: one a class, "" for none.
    """

    sentences: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        options: ClimateOptions,
        grid: Grid | None = None,
        policy: PromptPolicy = PromptPolicy(),  # noqa: B008 - it is frozen
        **_: object,
    ) -> ClassWhereabouts:
        """See :meth:`Whereabouts.of`; sentences that the vocabulary says of its classes stand. Season and size of a pixel are
        of no class, and every class that is asked for has its own sentence, so the policy's play no part.
        """
        if said := vocabulary.class_descriptions:
            return cls(" ".join(filter(None, said)), own=True, sentences=said)
        place, zone, by = place_and_zone(options, grid)
        names = [each.name for each in vocabulary.classes]
        provider, bank = policy.sentences(options, of_classes=True)
        said = class_sentences(None if zone is None else zone.code, names, bank=bank, provider=provider)
        lacked = _lacked(place, zone, something=any(said))
        silent = tuple(name for name, sentence in zip(names, said, strict=True) if not sentence)
        if lacked:
            return cls("", place, zone, by, lacked, sentences=said)
        source = policy.source(options, of_classes=True)
        return cls(" ".join(filter(None, said)), place, zone, by, left_out=silent, bank=source, sentences=said)

    def tell(self, vocabulary: Vocabulary) -> Vocabulary:
        """See the base class."""
        return vocabulary.with_class_descriptions(self.sentences)

    @property
    def hint(self) -> str:
        """See the base class."""
        return self._hint("a sentence on each class", "reads their names alone") if self.lacked == "a place" else ""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """See the base class; with the sentences, which are no description of the scene."""
        return (*super().facts, ("CLASS_DESCRIPTIONS", self.text)) if self.text else super().facts

    @property
    def lines(self) -> tuple[str, ...]:
        """See the base class."""
        where, _, *silent = super().lines
        own = " (the sentences given)" if self.own else ""
        said = self.text or f"their names alone, for lack of {self.lacked}"
        return (where, f"of its classes{own}: {said}", *silent)


def whereabouts_for(model: object, grid: Grid, vocabulary: Vocabulary, options: ReadOptions) -> Whereabouts | None:
    """What a model is told of an image that it is about to see; None where it reads nothing of places.

    Args:
        model: a :class:`~ovrs.inference.tile_models.TileModel`.

    Raises:
        OvrsError: see :meth:`Whereabouts.of`.
    """
    policy = _policy_of(model)
    if getattr(model, "reads_class_descriptions", False):
        return ClassWhereabouts.of(vocabulary, options.climate, grid, policy)
    if not getattr(model, "reads_places", False):
        return None
    most, count = getattr(model, "most_tokens", MOST_TOKENS), getattr(model, "count_tokens", None)
    return Whereabouts.of(vocabulary, options.climate, grid, policy, gsd=options.gsd, most_tokens=most, count=count)


def whereabouts_of_file(
    location: Location,
    vocabulary: Vocabulary,
    options: ReadOptions,
    policy: PromptPolicy = PromptPolicy(),  # noqa: B008 - it is frozen
    kind: type[Whereabouts] = Whereabouts,
) -> Whereabouts:
    """The same of a file, by its header alone; tokens are estimated.

    Args:
        policy: see :meth:`Whereabouts.of`.
        kind: :class:`ClassWhereabouts` for a model that reads sentences on classes.

    Raises:
        OvrsError: the file cannot be segmented, or see :meth:`Whereabouts.of`.
    """
    return kind.of(vocabulary, options.climate, grid_of_file(location, options), policy, gsd=options.gsd)


def state_told(model: object, options: ClimateOptions) -> str:
    """What tells one state of all that a model is told by from another; of a model that reads no places, the user's alone."""
    reads = getattr(model, "reads_places", False) or getattr(model, "reads_class_descriptions", False)
    return _policy_of(model).state(options) if reads else options.versions


def _policy_of(model: object) -> PromptPolicy:
    """What a model says that it was told in training."""
    policy = getattr(model, "prompt_policy", None)
    return policy if isinstance(policy, PromptPolicy) else PromptPolicy()


def _lacked(place: places.Place | None, zone: Zone | None, *, something: bool) -> str:
    """What is lacking for a climate prompt; ``something``: whether there is a sentence about the classes."""
    if zone is None:
        return "a place" if place is None else "a climate zone"
    return "" if something else "a sentence about these classes"
