"""Weights and images by formula: whoever knows a tensor's name and shape knows its values, to the bit.

A value is the sum of four 16-bit numbers out of one raw draw of PCG64, whose seed is a hash of the name; centred, scaled to
deviation one (nearly normal), and then to what a layer of that shape would start with.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np

DLRSD = (
    "airplane", "bare soil", "buildings", "cars", "chaparral", "court", "dock", "field", "grass", "mobile home", "pavement",
    "sand", "sea", "ship", "tanks", "trees", "water",
)  # fmt: skip
DEVIATION = math.sqrt((65536.0**2 - 1) / 3)  # of the sum of four uniform 16-bit numbers
# sha256 over names, shapes and values, published beside the outputs
CATSEG_HASH = "aee1e90f3f310a5a74238678523679a3c06709a3e0d96c1738f7154147f13eae"


def bits_of(name):
    seed = hashlib.sha256(name.encode()).digest()[:8]
    return np.random.PCG64(int.from_bytes(seed, "little"))


def mean_and_deviation(name, shape):
    last = name.rpartition(".")[2]
    if last == "logit_scale":
        return 2.659260036932778, 0.0
    if last in ("padding_tokens", "padding_guidance"):
        return 0.0, 0.5
    if last in ("class_embedding", "positional_embedding") or name.endswith("token_embedding.weight") or last.endswith("bias"):
        return 0.0, 0.02
    if len(shape) == 1:
        return 1.0, 0.1
    inputs_first = last in ("proj", "text_projection") or name.endswith(("upsample1.weight", "upsample2.weight", ".up.weight"))
    return 0.0, 1 / math.sqrt(shape[0] if inputs_first else math.prod(shape[1:]))


def tensor(name, shape):
    mean, deviation = mean_and_deviation(name, shape)
    count = math.prod(shape)
    if not deviation:
        return np.full(shape, mean, np.float32)
    raw = bits_of(name).random_raw(count)
    total = sum((raw >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)).astype(np.float64)
    values = (total - 131070.0) / DEVIATION * deviation
    return (values + mean if mean else values).astype(np.float32).reshape(shape)


def weights(layout):
    """Every tensor of ``<layout>_keys.json`` that is not a derived buffer."""
    shapes = json.loads((Path(__file__).parent / f"{layout}_keys.json").read_text())
    return {name: tensor(name, tuple(shape)) for name, shape in shapes.items() if not name.endswith("attn_mask")}


def digest(state):
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(f"{name}{list(state[name].shape)}".encode())
        total.update(np.ascontiguousarray(state[name], dtype="<f4").tobytes())
    return total.hexdigest()


def image(seed, height, width):
    """RGB [3, h, w] of whole numbers 0..255: three octaves of smooth noise and a little grain."""
    bits = bits_of(f"image/{seed}")

    def uniform(*shape):
        return ((bits.random_raw(math.prod(shape)) >> np.uint64(11)) * 2.0**-53).reshape(shape)

    picture = np.zeros((3, height, width))
    for cell, strength in ((96, 190.0), (24, 110.0), (6, 60.0)):
        grid = uniform(3, height // cell + 2, width // cell + 2) - 0.5
        (y, fy), (x, fx) = (np.divmod(np.arange(n, dtype=np.float64) / cell, 1) for n in (height, width))
        y, x = y.astype(int), x.astype(int)
        rows = grid[:, y] * (1 - fy)[None, :, None] + grid[:, y + 1] * fy[None, :, None]
        picture = picture + strength * (rows[:, :, x] * (1 - fx) + rows[:, :, x + 1] * fx)
    picture = picture + 10.0 * (uniform(3, height, width) - 0.5) + 127.5
    return np.floor(np.clip(picture, 0.0, 255.0) + 0.5).clip(0, 255).astype(np.float32)
