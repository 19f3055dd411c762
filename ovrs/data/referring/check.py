"""Whether images, masks and sentences fit together, found out before anything trains on them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ovrs.data.problems import SHOWN, Problem, common_sizes, problem_lines
from ovrs.data.referring.attributes import attributes_of
from ovrs.data.referring.directions import MOVES, UnmovableError, is_moved_by, moved
from ovrs.data.referring.reading import read_files
from ovrs.data.referring.scenes import drawn_scene
from ovrs.errors import DataError


@dataclass(frozen=True)
class ReferenceFinding:
    """What one reference holds.

    Attributes:
        image: the image's file.
        sentences: what is said; of a scene what an evaluation asks.
        category: of what is meant, where it is known.
        attributes: of each sentence.
        size: width and height of the image in pixels; None where it cannot be read.
        share: of the image that the mask covers (0..1), likewise.
        problems: what is wrong.
    """

    image: str
    sentences: tuple[str, ...]
    category: str | None
    attributes: tuple[tuple[str, ...], ...]
    size: tuple[int, int] | None
    share: float | None
    problems: tuple[Problem, ...]


def look_at_reference(entry: dict[str, Any]) -> ReferenceFinding:
    """Read one reference as training would, and say what it holds."""
    problems = list(_lacking(entry))
    category, sentences = entry.get("category"), tuple(entry.get("expressions", ()))
    image, mask = None, None
    if "scene_seed" in entry:
        scene = drawn_scene(entry)
        sentence, number, category = scene.expressions[scene.asked]
        image, mask, sentences = scene.image, scene.instances == number, (sentence,)
    elif not problems:
        try:
            image, mask = read_files(entry)
        except DataError as error:
            problems.append(Problem("file that cannot be used", str(error)))
    if mask is not None and "polygons" in entry and not mask.any():
        problems.append(Problem("polygon that covers no pixel", f"{entry['sample_id']}: {entry['file_name']}"))
    own = entry.get("attributes")
    return ReferenceFinding(
        image=entry["file_name"],
        sentences=sentences,
        category=category,
        attributes=tuple(attributes_of(said, category) if own is None else tuple(own) for said in sentences),
        size=None if image is None else (image.shape[1], image.shape[0]),
        share=None if mask is None else float(mask.mean()),
        problems=tuple(problems),
    )


def _lacking(entry: dict[str, Any]) -> Iterator[Problem]:
    if "scene_seed" in entry:
        return
    for kind, key in (("image", "file_name"), ("mask", "mask_file_name")):
        if key in entry and not os.path.isfile(entry[key]):
            yield Problem(f"{kind} that is not there", f"{entry['sample_id']}: {entry[key]}")


@dataclass
class ReferenceCheck:
    """All findings of one referring data set, added up.

    Attributes:
        total: references there are; ``looked_at`` of them were looked at.
        unread: keys of its file that nothing reads; a note.
        sizes: how many images have each width and height.
        shares: of the images that the masks cover (0..1).
        said: how often each sentence is said of each image; twice means that it tells two things not apart.
        problems: what is wrong.
    """

    name: str
    total: int = 0
    unread: tuple[str, ...] = ()
    looked_at: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    shares: list[float] = field(default_factory=list)
    categories: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    directed: int = 0
    unmovable: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, finding: ReferenceFinding) -> None:
        """Count one reference in."""
        self.looked_at += 1
        if finding.size is not None:
            self.sizes[finding.size] += 1
        if finding.share is not None:
            self.shares.append(finding.share)
        self.categories[finding.category or "(not stated)"] += 1
        self.said.update((finding.image, sentence) for sentence in finding.sentences)
        self.attributes.update(name for names in finding.attributes for name in names or ("(none)",))
        for sentence in finding.sentences:
            self.directed += is_moved_by(sentence, MOVES)
            try:
                for move in MOVES:
                    moved(sentence, [move])
            except UnmovableError:
                self.unmovable.append(sentence)
        self.problems.extend(finding.problems)

    def report(self) -> str:
        """The counts, a line a category, and the problems, for a terminal."""
        images, sentences = len({image for image, _ in self.said}), self.said.total()
        sample = f", {self.looked_at} of them looked at" if self.looked_at < self.total else ""
        lines = [f"{self.name}: {self.total:,} references{sample}: {sentences:,} sentences of {images:,} images"]
        lines[0] += common_sizes(self.sizes)
        if self.looked_at:
            lines += self._lines()
        return "\n".join([*lines, *problem_lines(self.problems)])

    def _lines(self) -> Iterator[str]:
        if self.shares:
            least, half, most = np.quantile(self.shares, [0, 0.5, 1])
            empty = sum(share == 0 for share in self.shares)
            yield f"  masks cover {least:.2%} to {most:.2%} of their images, half of them {half:.2%} or less; {empty} are empty"
        width = max(map(len, self.categories))
        yield f"  {'category':<{width}}  {'references':>10}"
        yield from (f"  {name:<{width}}  {count:>10,}" for name, count in self.categories.most_common())
        yield f"  sentences by attribute: {', '.join(f'{name} {count:,}' for name, count in self.attributes.most_common())}"
        yield f"  sentences with a direction: {self.directed:,} (INPUT.FLIP and INPUT.QUARTER_TURNS need INPUT.FLIP_WORDS)"
        if self.unmovable:
            shown = ", ".join(map(repr, self.unmovable[:3]))
            yield f"  of these never mirrored or turned, their words not being known: {len(self.unmovable):,} ({shown})"
        twice = [f"{sentence!r} in {image}" for (image, sentence), count in self.said.items() if count > 1]
        if twice:
            yield f"  said of several things in one image: {len(twice):,} sentences (the first {twice[0]})"
        if self.unread:
            yield f"  keys that are not read: {', '.join(self.unread[:SHOWN])}"
