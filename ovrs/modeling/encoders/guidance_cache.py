"""Features of a frozen guidance encoder, kept on disk: in training it then sees an image once, not once an epoch."""

from __future__ import annotations

import hashlib
import logging
import zlib
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovrs.errors import ConfigError, OutputError
from ovrs.files import written_whole
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder, Layer

logger = logging.getLogger(__name__)

# Part of every key; another number makes all that was kept before unknown.
_LAYOUT = "1"
_Features = dict[Layer, Tensor]  # of one image, [C, h, w]


class CachedGuidance(GuidanceEncoder):
    """A frozen encoder under the same contract, with the features of training images read from a folder where they are there.

    An image is known by its pixels as the encoder gets them, beside the encoder's weights, layers and arithmetic, so a folder
    can serve any number of trainings. Evaluation goes past the cache: windows over test images would fill the disk.

    The wrapper has the encoder's parameters under the encoder's own names, so that checkpoints are the same with and without.

    Args:
        encoder: frozen.
        folder: made when the first file is written; a file an image, ``ab/abcdef....safetensors``.
        precision: ``fp32`` keeps features as they are; ``fp16`` rounds them, already when they are computed.

    Raises:
        ConfigError: the encoder trains, or an unknown precision.
    """

    def __init__(self, encoder: GuidanceEncoder, folder: str | Path, precision: Literal["fp32", "fp16"] = "fp32") -> None:
        super().__init__()
        if not encoder.frozen:
            raise ConfigError("features of a guidance encoder that trains change with it; set MODEL.GUIDANCE.TRAIN to freeze")
        if precision not in ("fp32", "fp16"):
            raise ConfigError(f"MODEL.GUIDANCE.CACHE_PRECISION is {precision!r}; choose fp32 or fp16")
        self._wrapped = (encoder,)  # in a tuple, as a submodule its names would get a prefix
        for name, child in encoder.named_children():
            self.add_module(name, child)
        self.layers, self.channels, self.stride = encoder.layers, encoder.channels, encoder.stride
        self.folder = Path(folder)
        self.precision = precision
        self.bypassed = False  # compute everything, to tell what the cache saves
        self.hits = self.misses = 0  # images
        self.bytes_per_image = 0  # of the last file written or read
        self._writes = True
        self._learning = False
        self._identity: tuple[tuple[object, ...], bytes] = ((), b"")

    def train(self, mode: bool = True) -> CachedGuidance:
        """Only in training mode features are kept; the encoder itself stays in evaluation mode."""
        self._learning = mode
        self._wrapped[0].train(mode)
        super().train(mode)
        return self

    @torch.no_grad()
    def forward(self, x: Tensor) -> dict[Layer, Tensor]:
        """See the base class; no gradients."""
        if self.bypassed or not self._learning:
            features: dict[Layer, Tensor] = self._wrapped[0](x)
            return features
        keys = self._keys(x)
        found = [self._read(key) for key in keys]
        missing = [number for number, kept in enumerate(found) if kept is None]
        self.hits, self.misses = self.hits + len(keys) - len(missing), self.misses + len(missing)
        if missing:
            computed = self._wrapped[0](x[missing])
            for row, number in enumerate(missing):
                found[number] = self._keep(keys[number], {layer: value[row] for layer, value in computed.items()})
        return {layer: torch.stack([kept[layer].to(x.device) for kept in found if kept]) for layer in self.layers}

    # ------------------------------------------------------------------- keys

    def _keys(self, x: Tensor) -> list[str]:
        """sha256 of each image [3, H, W] together with all else that its features depend on."""
        autocast = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else None
        encoder = self._wrapped[0]
        setting = (
            f"{_LAYOUT} {type(encoder).__name__} {self.layers} {encoder.unit_variance} {self.precision} {autocast} "
            f"{x.dtype} {x.shape[1:]}"
        )
        start = hashlib.sha256(setting.encode() + self._weights())
        keys = []
        for image in x.detach().cpu():
            key = start.copy()
            key.update(_bytes(image))
            keys.append(key.hexdigest())
        return keys

    def _weights(self) -> bytes:
        """sha256 of the encoder's weights, computed again when they change."""
        state = self._wrapped[0].state_dict()
        version = tuple(item for value in state.values() for item in (value.data_ptr(), value._version))
        if version != self._identity[0]:
            digest = hashlib.sha256()
            for name, value in sorted(state.items()):
                digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
                digest.update(_bytes(value.detach().cpu()))
            self._identity = (version, digest.digest())
        return self._identity[1]

    # ------------------------------------------------------------------ files

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _read(self, key: str) -> _Features | None:
        """What is kept under a key; None where there is nothing, or nothing that can be trusted."""
        path = self._path(key)
        try:
            if not path.is_file():
                return None
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                kept = {layer: file.get_tensor(str(layer)) for layer in self.layers}
            if about.get("checksum") != _checksum(kept):
                raise ValueError("its checksum is wrong")
            dtypes = {layer: getattr(torch, about[f"dtype {layer}"]) for layer in self.layers}
            self.bytes_per_image = path.stat().st_size
        except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
            logger.warning("%s: kept guidance features are not readable (%s); computed again", path, error)
            return None
        return {layer: value.to(dtypes[layer]) for layer, value in kept.items()}

    def _keep(self, key: str, computed: _Features) -> _Features:
        """Write the features of an image; gives them back as reading will, on the CPU."""
        stored = {layer: self._rounded(value).cpu().contiguous() for layer, value in computed.items()}
        if self._writes:
            dtypes = {f"dtype {layer}": str(value.dtype).removeprefix("torch.") for layer, value in computed.items()}
            self._write(self._path(key), stored, {"checksum": _checksum(stored), **dtypes})
        return {layer: value.to(computed[layer].dtype) for layer, value in stored.items()}

    def _rounded(self, value: Tensor) -> Tensor:
        half = value.half() if self.precision == "fp16" and value.dtype == torch.float32 else value
        return value if half.isinf().any() else half  # beyond 65504 half precision has no number

    def _write(self, path: Path, stored: _Features, about: dict[str, str]) -> None:
        try:
            with written_whole(path) as temporary:
                save_file({str(layer): value for layer, value in stored.items()}, temporary, about)
            size = path.stat().st_size
        except OutputError as error:
            logger.warning("%s; the training goes on, and no more guidance features are kept", error)
            self._writes = False
            return
        if not self.bytes_per_image:
            logger.info("guidance features go to %s, %.2f MB an image", self.folder, size / 1e6)
        self.bytes_per_image = size


def _bytes(value: Tensor) -> bytes:
    """The values as they lie in memory."""
    return value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _checksum(features: _Features) -> str:
    check = 0
    for _, value in sorted((str(layer), value) for layer, value in features.items()):
        check = zlib.crc32(_bytes(value), check)
    return f"{check:08x}"
