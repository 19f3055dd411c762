"""Layers written out in NumPy, against which blocks are held."""

import math

import numpy as np


def array(x):
    return x.detach().numpy().astype(np.float64)


def linear(layer, x):
    return x @ array(layer.weight).T + (0 if layer.bias is None else array(layer.bias))


def layer_norm(norm, x):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return normal * array(norm.weight) + array(norm.bias)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def attention(block, query, context):
    """Of a CrossAttention: [Nq, Cq], [Nk, Ck] -> [Nq, dim], one head and one query at a time."""
    q, k, v = linear(block.q, query), linear(block.k, context), linear(block.v, context)
    size = q.shape[1] // block.heads
    mixed = np.zeros_like(q)
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        for row in range(len(q)):
            weights = np.exp(k[:, part] @ q[row, part] / np.sqrt(size))
            mixed[row, part] = weights @ v[:, part] / weights.sum()
    return linear(block.proj, mixed)
