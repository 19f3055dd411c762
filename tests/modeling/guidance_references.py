"""Plain references in NumPy, double precision: resampling as it is defined, SAM's and PE's blocks, written as loops."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def cubic(t: float, a: float) -> float:
    """Keys's kernel; torch has a = -0.75, and with antialiasing, as Pillow, -0.5."""
    t = abs(t)
    if t < 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return a * (((t - 5) * t + 8) * t - 4) if t < 2 else 0.0


def resampling(before: int, after: int, kind: str) -> Array:
    """[after, before]: what each of the ``after`` samples takes from the ``before`` ones, centres aligned, borders repeated."""
    matrix = np.zeros((after, before))
    scale = before / after
    for i in range(after):
        centre = (i + 0.5) * scale - 0.5
        if kind == "antialiased":  # the kernel grows with the reduction, is cut at the border, and sums to one
            wide = max(scale, 1.0)
            taps = [j for j in range(before) if abs(j - centre) < 2 * wide]
            for j in taps:
                matrix[i, j] = cubic((j - centre) / wide, -0.5)
            matrix[i] /= matrix[i].sum()
            continue
        first, reach = math.floor(centre), {"bicubic": range(-1, 3), "linear": range(0, 2)}[kind]
        for step in reach:
            t = centre - (first + step)
            weight = cubic(t, -0.75) if kind == "bicubic" else max(1 - abs(t), 0.0)
            matrix[i, min(max(first + step, 0), before - 1)] += weight
    return matrix


def resized(grid: Array, size: tuple[int, int], kind: str) -> Array:
    """[H, W, C] -> [h, w, C]."""
    rows, columns = resampling(grid.shape[0], size[0], kind), resampling(grid.shape[1], size[1], kind)
    return np.einsum("ij,kl,jlc->ikc", rows, columns, grid.astype(np.float64))


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x: Array) -> Array:
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def patches(image: Array, weight: Array, bias: Array | float) -> Array:
    """[3, H*p, W*p] -> [H, W, C]."""
    p = weight.shape[-1]
    height, width = image.shape[1] // p, image.shape[2] // p
    out = np.zeros((height, width, weight.shape[0]))
    for y in range(height):
        for x in range(width):
            out[y, x] = np.einsum("oiab,iab->o", weight, image[:, y * p : (y + 1) * p, x * p : (x + 1) * p]) + bias
    return out


# ------------------------------------------------------------------------ SAM


def sam_attention(x: Array, state: dict[str, Array], heads: int) -> Array:
    """[H, W, C] -> [H, W, C] with decomposed relative positions, their tables resized linearly to 2 * side - 1."""
    height, width, channels = x.shape
    dim = channels // heads
    qkv = (x.reshape(-1, channels) @ state["attn.qkv.weight"].T + state["attn.qkv.bias"]).reshape(-1, 3, heads, dim)
    tables = {}
    for side, axis in ((height, "h"), (width, "w")):
        table = state[f"attn.rel_pos_{axis}"]
        tables[axis] = resampling(len(table), 2 * side - 1, "linear") @ table
    out = np.zeros((height * width, heads, dim))
    for head in range(heads):
        q, k, v = qkv[:, 0, head], qkv[:, 1, head], qkv[:, 2, head]
        scores = (q / math.sqrt(dim)) @ k.T
        for i in range(height * width):
            for j in range(height * width):
                down, right = i // width - j // width, i % width - j % width
                scores[i, j] += q[i] @ (tables["h"][down + height - 1] + tables["w"][right + width - 1])
        out[:, head] = softmax(scores) @ v
    return (out.reshape(-1, channels) @ state["attn.proj.weight"].T + state["attn.proj.bias"]).reshape(x.shape)


def sam_block(x: Array, state: dict[str, Array], heads: int, window: int) -> Array:
    """One block; ``window`` 0 is global. Windows at the lower and right border are filled up with zeros after the norm."""
    normed = layer_norm(x, state["norm1.weight"], state["norm1.bias"], 1e-6)
    if window:
        height, width = x.shape[:2]
        padded = np.zeros((-(-height // window) * window, -(-width // window) * window, x.shape[2]))
        padded[:height, :width] = normed
        for y in range(0, padded.shape[0], window):
            for z in range(0, padded.shape[1], window):
                part = padded[y : y + window, z : z + window]
                padded[y : y + window, z : z + window] = sam_attention(part, state, heads)
        x = x + padded[:height, :width]
    else:
        x = x + sam_attention(normed, state, heads)
    hidden = layer_norm(x, state["norm2.weight"], state["norm2.bias"], 1e-6)
    hidden = gelu(hidden @ state["mlp.lin1.weight"].T + state["mlp.lin1.bias"])
    return x + hidden @ state["mlp.lin2.weight"].T + state["mlp.lin2.bias"]


# --------------------------------------------------------- perception encoders


def turned(x: Array, places: list[tuple[int, int]]) -> Array:
    """Rotary positions [N, D]: the first half of D turns with the column, the second with the row, pair by pair."""
    dim = x.shape[1]
    out = np.empty_like(x)
    for n, (row, column) in enumerate(places):
        for pair in range(dim // 2):
            place = column if pair < dim // 4 else row
            angle = place / 10000 ** ((pair % (dim // 4)) * 2 / (dim // 2))
            a, b = x[n, 2 * pair], x[n, 2 * pair + 1]
            out[n, 2 * pair] = a * math.cos(angle) - b * math.sin(angle)
            out[n, 2 * pair + 1] = b * math.cos(angle) + a * math.sin(angle)
    return out


def perception_block(x: Array, state: dict[str, Array], heads: int, places: list[tuple[int, int]]) -> Array:
    """One block on tokens [N, C] under the published names; ``places`` are the rows and columns, the class token's (0, 0)."""
    dim = x.shape[1] // heads
    normed = layer_norm(x, state["ln_1.weight"], state["ln_1.bias"], 1e-5)
    qkv = (normed @ state["attn.in_proj_weight"].T + state["attn.in_proj_bias"]).reshape(len(x), 3, heads, dim)
    out = np.zeros((len(x), heads, dim))
    for head in range(heads):
        q, k = turned(qkv[:, 0, head], places), turned(qkv[:, 1, head], places)
        out[:, head] = softmax(q @ k.T / math.sqrt(dim)) @ qkv[:, 2, head]
    x = x + out.reshape(x.shape) @ state["attn.out_proj.weight"].T + state["attn.out_proj.bias"]
    hidden = layer_norm(x, state["ln_2.weight"], state["ln_2.bias"], 1e-5)
    hidden = gelu(hidden @ state["mlp.c_fc.weight"].T + state["mlp.c_fc.bias"])
    return x + hidden @ state["mlp.c_proj.weight"].T + state["mlp.c_proj.bias"]
