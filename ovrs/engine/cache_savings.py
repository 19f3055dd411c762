"""What the guidance cache saves, measured while training."""

from __future__ import annotations

import logging
import time
from statistics import median

from detectron2.engine import HookBase

from ovrs.modeling.encoders.guidance_cache import CachedGuidance

logger = logging.getLogger(__name__)


class CacheSavings(HookBase):
    """Measures the step time without and with the guidance cache, early in a training, and logs what it saves.

    A few steps go past the cache on purpose; the first steps all of whose images were found in it are their counterpart.

    Args:
        encoder: the encoder that keeps its features.
        images: of the training sets, to say what they will take on disk.
    """

    WARM_UP, STEPS = 1, 3

    def __init__(self, encoder: CachedGuidance, images: int) -> None:
        self.encoder = encoder
        self.images = images
        self.without: list[float] = []
        self.within: list[float] = []
        self._steps = 0
        self._start = 0.0
        self._known = (0, 0)

    def before_step(self) -> None:
        """The steps after the first, which is slow for other reasons, go past the cache."""
        self.encoder.bypassed = self.WARM_UP <= self._steps < self.WARM_UP + self.STEPS
        self._known = (self.encoder.hits, self.encoder.misses)
        self._start = time.perf_counter()

    def after_step(self) -> None:
        """Take the time; say something as soon as there is something to say."""
        seconds = time.perf_counter() - self._start
        hits, misses = self.encoder.hits - self._known[0], self.encoder.misses - self._known[1]
        self._steps += 1
        if self.encoder.bypassed:
            self.without.append(seconds)
        elif self._steps > self.WARM_UP and hits and not misses and len(self.within) < self.STEPS:
            self.within.append(seconds)
            if len(self.within) == self.STEPS:
                self._report()
        elif self._steps == self.WARM_UP + self.STEPS + 1 and misses:
            self._announce()

    def _announce(self) -> None:
        size = self.encoder.bytes_per_image
        logger.info(
            "The guidance cache fills: %d images of %.2f MB make %.1f GB; it saves time when they come a second time",
            self.images,
            size / 1e6,
            self.images * size / 1e9,
        )

    def _report(self) -> None:
        without, within = median(self.without), median(self.within)
        self.trainer.storage.put_scalar("guidance_cache_speedup", without / within, smoothing_hint=False)
        logger.info(
            "A step takes %.3f s without the guidance cache and %.3f s with it: %.2f times as fast, for %.1f GB in %s",
            without,
            within,
            without / within,
            self.images * self.encoder.bytes_per_image / 1e9,
            self.encoder.folder,
        )
