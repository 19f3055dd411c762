"""The classes that a head is bound to: which of its channels answers for a name that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.vocabulary import BACKGROUND_NAME, Vocabulary, VocabularyClass, normalized, shortened


class BoundClasses:
    """The classes of a training in the order of a head's channels.

    A name that is asked for is found by any of its words, among the names first and then among the synonyms of those learnt;
    words that were not learnt do not count beside one that was.

    Args:
        classes: one a channel.
        way_out: what takes any name, for messages.
    """

    def __init__(self, classes: Sequence[VocabularyClass], way_out: str) -> None:
        self.classes = tuple(classes)
        self.way_out = way_out
        self._channels = {normalized(cls.name): channel for channel, cls in enumerate(self.classes)}
        for channel, cls in enumerate(self.classes):
            for word in cls.synonyms:
                self._channels.setdefault(normalized(word), channel)

    def __len__(self) -> int:
        return len(self.classes)

    def channels(self, vocabulary: Vocabulary) -> tuple[tuple[int, ...], ...]:
        """For each name of ``vocabulary`` that has words (a background of words too) the channels that answer for it.

        Raises:
            ConfigError: a name of which no word was learnt, or two names of which one and the same was.
        """
        found: list[tuple[int, ...]] = []
        owners: dict[int, str] = {}
        for name, words in _words_by_name(vocabulary):
            own = tuple(dict.fromkeys(self._channels[word] for word in map(normalized, words) if word in self._channels))
            if not own:
                raise ConfigError(f"{self._bound()}, and {shortened(name)} is none of them; {self.way_out}")
            for channel in own:
                if (other := owners.setdefault(channel, name)) != name:
                    raise ConfigError(
                        f"{self._bound()}: {other!r} and {name!r} are both {self.classes[channel].name!r} to it; ask for one, "
                        "or make the other its synonym"
                    )
            found.append(own)
        return tuple(found)

    def words(self, vocabulary: Vocabulary) -> list[str]:
        """A word a channel: the first of ``vocabulary`` that was learnt for it, its own name where none is asked for."""
        words = [cls.name for cls in self.classes]
        for word in reversed(vocabulary.rows):
            if (channel := self._channels.get(normalized(word))) is not None:
                words[channel] = word
        return words

    def _bound(self) -> str:
        names = ", ".join(cls.name for cls in self.classes)
        return f"this model's head is bound to the {len(self)} classes that it was trained on ({names})"


def asked_channels(logits: Tensor, channels: Sequence[Sequence[int]]) -> Tensor:
    """Logits [B, C, H, W] of a head's channels -> [B, N, H, W] of the names asked for, each by the best of its channels.

    ``channels`` are those of :meth:`BoundClasses.channels`.

    Raises:
        ConfigError: there are none, since words were read alone, and nobody says which class each of them is.
    """
    if not channels:
        raise ConfigError("a head that is bound to classes needs to know whose the words are: read them with text_of")
    if list(channels) == [(channel,) for channel in range(logits.shape[1])]:
        return logits
    # Views, not an index: a list of numbers would have to be brought to the device, which waits for it.
    rows = [torch.stack([logits[:, channel] for channel in own]).amax(dim=0) for own in channels]
    return torch.stack(rows, dim=1)


def channels_of(classifier: nn.Module, bound: BoundClasses | None) -> int:
    """How many classes a convolution is bound to; 0 of what takes any number.

    Raises:
        ConfigError: ``bound`` does not name one class for each of its channels.
    """
    channels = classifier.out_channels if isinstance(classifier, nn.Conv2d) else 0
    if channels != (0 if bound is None else len(bound)):
        raise ConfigError(f"a classifier of {channels} channels is bound to {0 if bound is None else len(bound)} classes")
    return channels


def _words_by_name(vocabulary: Vocabulary) -> list[tuple[str, list[str]]]:
    """The names of ``vocabulary`` that have words, each with these; the background is also known by its name."""
    owned = zip(vocabulary.row_classes, vocabulary.rows, strict=True)
    found = [(vocabulary.names[owner], [word for _, word in rows]) for owner, rows in groupby(owned, key=lambda row: row[0])]
    if vocabulary.background.policy == "words":
        found[-1][1].append(BACKGROUND_NAME)
    return found
