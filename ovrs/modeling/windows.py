"""Reading an image in windows: where they lie, and how their scores become one map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ovrs.errors import ConfigError
from ovrs.modeling.sizes import same_size

Read = Callable[[Tensor], Tensor]  # a view [3, h, w] to its logits [N, ., .], padding of its sides to whole patches included


@dataclass(frozen=True)
class InferenceSettings:
    """How an image is read in evaluation (``cfg.TEST``).

    Attributes:
        mode: ``whole`` one pass; ``sliding`` overlapping tiles at the image's own size; ``catseg`` CAT-Seg's protocol.
        tile: side of a tile in pixels; rounded down to whole patches.
        overlap: least share of a tile that neighbours overlap by.
        global_view: average the tiles with one view of the whole image at tile size.
    """

    mode: Literal["whole", "sliding", "catseg"] = "sliding"
    tile: int = 384
    overlap: float = 1 / 3
    global_view: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("whole", "sliding", "catseg"):
            raise ConfigError(f"TEST.INFERENCE is {self.mode!r}; choose whole, sliding or catseg")
        if self.tile < 1 or not 0 <= self.overlap < 1:
            raise ConfigError(f"TEST.TILE {self.tile} must be positive and TEST.OVERLAP {self.overlap} in [0, 1)")


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Starts of windows that cover ``length``, neighbours overlapping by at least ``overlap`` of a window, spread evenly.

    One window where it covers everything; otherwise the first starts at 0 and the last ends at ``length``.
    """
    if length <= window:
        return [0]
    step = max(int(window * (1 - overlap)), 1)
    count = math.ceil((length - window) / step) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def window_weights(length: int, window: int, starts: list[int]) -> Tensor:
    """Blending weights of one axis [len(starts), window]: a tent each, divided so that they sum to one at every position.

    Windows' weights in the plane are products of two such rows, so they sum to one there too, edges and corners included.
    """
    window = min(window, length)
    tent = torch.minimum(torch.arange(1, window + 1), torch.arange(window, 0, -1)).double()
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + window] += tent
    return torch.stack([tent / total[start : start + window] for start in starts]).float()


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of [..., H, W] until both sides are multiples of ``multiple``."""
    down, right = -image.shape[-2] % multiple, -image.shape[-1] % multiple
    if not (down or right):
        return image
    return F.pad(image[None] if image.dim() == 3 else image, (0, right, 0, down), mode="replicate").view(
        *image.shape[:-2], image.shape[-2] + down, image.shape[-1] + right
    )


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of [B, C, H, W] (corners not aligned, no antialiasing: as Detectron2 and the peers do)."""
    if same_size(image.shape[-2:], size):
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def sliding_scores(read: Read, image: Tensor, settings: InferenceSettings, *, patch: int, per_patch: int) -> Tensor:
    """Scores [N, h, w] of ``image`` [3, H, W] padded to whole patches, ``per_patch`` a patch, blended from overlapping tiles.

    Tiles start at whole patches, so scores never fall between those of a neighbour.
    """
    image = pad_to_multiple(image, patch)
    grid = (image.shape[-2] // patch, image.shape[-1] // patch)
    tile = max(settings.tile // patch, 1)
    starts = [window_starts(length, tile, settings.overlap) for length in grid]
    weights = [
        window_weights(length * per_patch, tile * per_patch, [start * per_patch for start in axis]).to(image.device)
        for length, axis in zip(grid, starts, strict=True)
    ]
    canvas: Tensor | None = None
    places = list(product(enumerate(starts[0]), enumerate(starts[1])))
    for (i, top), (j, left) in places:
        view = image[:, top * patch : (top + tile) * patch, left * patch : (left + tile) * patch]
        scores = read(view).sigmoid()
        scores = scores * weights[0][i][:, None] * weights[1][j][None, :]
        if canvas is None:
            canvas = scores.new_zeros(len(scores), grid[0] * per_patch, grid[1] * per_patch)
        height, width = scores.shape[-2:]
        canvas[:, top * per_patch :, left * per_patch :][:, :height, :width] += scores
    assert canvas is not None
    if settings.global_view and len(places) > 1:
        canvas = (canvas + _global_scores(read, image, settings.tile, patch, canvas.shape[-2:])) / 2
    return canvas


def _global_scores(read: Read, image: Tensor, side: int, patch: int, size: torch.Size) -> Tensor:
    """The whole image at tile size, aspect kept, its scores enlarged to ``size``."""
    scale = side / max(image.shape[-2:])
    height, width = (max(round(length * scale), 1) for length in image.shape[-2:])
    scores = read(resize(image[None], (height, width))[0]).sigmoid()
    # The view was padded to whole patches; what its own pixels got is the part to enlarge.
    rows, columns = (
        max(round(count * length / (length + -length % patch)), 1)
        for count, length in zip(scores.shape[-2:], (height, width), strict=True)
    )
    return resize(scores[None, :, :rows, :columns], (size[0], size[1]))[0]


def catseg_scores(read: Read, image: Tensor) -> Tensor:
    """CAT-Seg's protocol [N, 640, 640]: the image squeezed to that, four windows of 384 averaged, then with one view at 384."""
    side, window = 640, 384
    image = resize(image[None], (side, side))
    size = (window, window)
    corners = list(product((0, side - window), repeat=2))
    views = [image[..., top : top + window, left : left + window] for top, left in corners] + [resize(image, size)]
    maps = [resize(read(view[0])[None], size)[0].sigmoid() for view in views]
    total, count = maps[0].new_zeros(len(maps[0]), side, side), maps[0].new_zeros(side, side)
    for (top, left), scores in zip(corners, maps, strict=False):
        total[:, top : top + window, left : left + window] += scores
        count[top : top + window, left : left + window] += 1
    return (total / count + resize(maps[-1][None], (side, side))[0]) / 2
