"""Swin transformers of timm, run stage by stage, so that a system can put its own layers between two stages.

Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.sizes import known

TrainMode = Literal["freeze", "full"]
Pair = tuple[int, int]

STRANGERS = -100.0  # added to the attention of two tokens that the shift brought together, as in Swin's own code


class SwinStages(nn.Module):
    """The patch embedding and the stages of a Swin transformer of any input size; parameter names are timm's.

    A grid that windows do not divide is padded on the right and below, then shifted, as Swin's code for dense tasks does it
    (timm shifts first, and then unites rows in a window that are no neighbours). Padding is attended to there as here. Along
    an axis that one window covers nothing is shifted.

    Args:
        swin: of timm, made with ``strict_img_size=False``; its norm and its head are left behind.
        name: timm's name of it, for loading weights (``ovrs.modeling.pretrained.load_backbone``); "" where it has none.
        places: patches are embedded with the place of each pixel beside its colours, which is two channels more.
        train: see :meth:`set_trainable`.
    """

    def __init__(self, swin: SwinTransformer, *, name: str = "", places: bool = False, train: TrainMode = "full") -> None:
        super().__init__()
        self.name = name
        self.places = places
        self.patch_embed = swin.patch_embed
        self.layers = swin.layers
        self.channels: tuple[int, ...] = tuple(level["num_chs"] for level in swin.feature_info)
        self.strides: tuple[int, ...] = tuple(level["reduction"] for level in swin.feature_info)
        self.set_trainable(train)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The output [B, C, h, w] of every stage for normalised images ``x`` [B, 3, H, W], multiples of the last stride."""
        found: list[Tensor] = []
        x = self.embed(x)
        for number in range(len(self.layers)):
            x = self.stage(number, x)
            found.append(x)
        return found

    def embed(self, x: Tensor) -> Tensor:
        """Patches of images ``x`` [B, 3, H, W] -> [B, C, H / 4, W / 4]."""
        return self.patch_embed(with_places(x) if self.places else x).permute(0, 3, 1, 2)

    def stage(self, number: int, x: Tensor, added: Tensor | None = None) -> Tensor:
        """One stage, counted from 0: every one but the first begins by merging patches, 2 x 2 of them, to twice the channels.

        ``x`` [B, C, h, w], of :meth:`embed` or of the stage before -> [B, C', h', w']; ``added`` to the patches, as large.
        """
        layer: Any = self.layers[number]
        x = layer.downsample(x.permute(0, 2, 3, 1))
        if added is not None:
            x = x + added.permute(0, 2, 3, 1)
        for place, block in enumerate(layer.blocks):
            x = _block(block, x, shifted=place % 2 == 1)
        return x.permute(0, 3, 1, 2)

    def wrap_attention(self, make: Callable[[int], nn.Module]) -> None:
        """Put a module behind the attention of every block, inside its residual: it gets and gives [B, h, w, C].

        Load published weights first: what is added here is not in them.

        Args:
            make: the module for a number of channels.
        """
        for channels, layer in zip(self.channels, self.layers, strict=True):
            for block in layer.blocks:
                block.after_attention = make(channels)

    def set_trainable(self, train: TrainMode) -> None:
        """Say which parameters train: ``freeze`` none of Swin's own, ``full`` all; those of :meth:`wrap_attention` always do.

        Raises:
            ConfigError: another mode.
        """
        if train not in ("freeze", "full"):
            raise ConfigError(f"training mode {train!r} of the Swin transformer; choose freeze or full")
        self.train_mode = train
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(train == "full" or ".after_attention." in name)

    def train(self, mode: bool = True) -> SwinStages:
        """A frozen Swin stays in evaluation mode: no block of it is dropped."""
        return super().train(mode and self.train_mode == "full")


def build_swin(name: str, *, drop_path: float = 0.3, train: TrainMode = "full") -> SwinStages:
    """A Swin transformer by timm's name, as ``swin_base_patch4_window12_384``; random weights.

    Args:
        drop_path: how often the last block is dropped in training, growing from 0 at the first.
        train: see :meth:`SwinStages.set_trainable`.

    Raises:
        ConfigError: timm has no such model, or it is no Swin transformer (V2 has another attention).
    """
    try:
        swin = timm.create_model(name, pretrained=False, num_classes=0, drop_path_rate=drop_path, strict_img_size=False)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise ConfigError(f"timm model {name!r}: {error}") from error
    if not isinstance(swin, SwinTransformer):
        raise ConfigError(f"timm model {name!r} is a {type(swin).__name__}, not a Swin transformer of the first version")
    return SwinStages(swin, name=name, train=train)


def build_small_swin(
    *,
    width: int,
    depths: Sequence[int],
    heads: Sequence[int],
    window: int,
    places: bool = False,
    drop_path: float = 0.0,
    train: TrainMode = "full",
) -> SwinStages:
    """A Swin transformer by its sizes, random weights.

    Args:
        width: channels of the first stage; each further one has twice as many.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        window: side of a window in patches.
        places: see :class:`SwinStages`.
        drop_path: see :func:`build_swin`.
        train: see :meth:`SwinStages.set_trainable`.

    Raises:
        ConfigError: heads that do not divide their channels, or not as many as stages.
    """
    if len(heads) != len(depths) or any(width * 2**stage % count for stage, count in enumerate(heads)):
        raise ConfigError(f"a Swin transformer of width {width}: heads {list(heads)} for stages of {list(depths)} blocks")
    swin = SwinTransformer(
        in_chans=5 if places else 3,
        img_size=4 * 2 ** (len(depths) - 1) * window,  # the smallest at which timm makes no window smaller
        embed_dim=width,
        depths=tuple(depths),
        num_heads=tuple(heads),
        window_size=window,
        drop_path_rate=drop_path,
        num_classes=0,
        strict_img_size=False,
    )
    return SwinStages(swin, places=places, train=train)


def with_places(x: Tensor) -> Tensor:
    """[B, 3, H, W] -> [B, 5, H, W]: beside the colours of a pixel how far right and how far down it is, from -1 to 1.

    As in Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution, 2018.
    """
    height, width = x.shape[-2:]
    down, right = (torch.linspace(-1, 1, length, device=x.device, dtype=x.dtype) for length in (height, width))
    places = torch.stack([right.expand(height, width), down[:, None].expand(height, width)])
    return torch.cat([x, places.expand(len(x), 2, height, width)], dim=1)


def _block(block: Any, x: Tensor, *, shifted: bool) -> Tensor:
    """One block of timm's on ``x`` [B, h, w, C]; :func:`_attend` is what differs from its own forward pass."""
    attended = _attend(block.attn, block.norm1(x), shifted=shifted)
    if hasattr(block, "after_attention"):
        attended = block.after_attention(attended)
    x = x + block.drop_path1(attended)
    return x + block.drop_path2(block.mlp(block.norm2(x)))


def _attend(attention: Any, x: Tensor, *, shifted: bool) -> Tensor:
    """Attention of ``x`` [B, h, w, C] within windows."""
    grid: Pair = (x.shape[1], x.shape[2])
    window: Pair = attention.window_size
    vertical, horizontal = (
        side // 2 if shifted and known(length > side) else 0 for length, side in zip(grid, window, strict=True)
    )
    x = F.pad(x, (0, 0, 0, -grid[1] % window[1], 0, -grid[0] % window[0]))
    padded: Pair = (x.shape[1], x.shape[2])
    mask = None
    if vertical or horizontal:
        x = x.roll((-vertical, -horizontal), dims=(1, 2))
        mask = _shift_mask(padded, window, (vertical, horizontal), x)
    x = _merge(attention(_partition(x, window), mask=mask), padded, window)
    if vertical or horizontal:
        x = x.roll((vertical, horizontal), dims=(1, 2))
    return x[:, : grid[0], : grid[1]]


def _partition(x: Tensor, window: Pair) -> Tensor:
    """[B, h, w, C] -> [B * windows, tokens of a window, C]."""
    rows, columns = x.shape[1] // window[0], x.shape[2] // window[1]
    x = x.unflatten(2, (columns, window[1])).unflatten(1, (rows, window[0]))
    return x.transpose(2, 3).reshape(-1, window[0] * window[1], x.shape[-1])


def _merge(windows: Tensor, grid: Pair, window: Pair) -> Tensor:
    """Undo :func:`_partition`: [B * windows, tokens, C] -> [B, h, w, C]."""
    rows, columns = grid[0] // window[0], grid[1] // window[1]
    x = windows.reshape(-1, rows, columns, *window, windows.shape[-1])
    return x.transpose(2, 3).reshape(-1, *grid, windows.shape[-1])


def _shift_mask(grid: Pair, window: Pair, shift: Pair, like: Tensor) -> Tensor:
    """[windows, tokens, tokens]: 0 between tokens of one side, ``STRANGERS`` where the roll carried one of them across."""
    carried = [
        (torch.arange(length, device=like.device) >= length - moved).to(like.dtype)
        for length, moved in zip(grid, shift, strict=True)
    ]
    region = (carried[0][:, None] * 2 + carried[1])[None, :, :, None]
    region = _partition(region, window)[..., 0]
    return torch.where(region[:, :, None] == region[:, None, :], 0.0, STRANGERS).to(like.dtype)
