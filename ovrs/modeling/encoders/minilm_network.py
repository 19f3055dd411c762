"""MiniLM's network in PyTorch's own layers: transformers has it, but takes longer to import than a small model to answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ovrs.modeling.fitting import load_state_dict, parameters_on_meta
from ovrs.modeling.weights_files import read_state_dict

# BERT's names of a layer's parts, and those of nn.TransformerEncoderLayer.
PARTS = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class MiniLmNetwork(nn.Module):
    """BERT (Devlin et al., NAACL 2019) by its sizes: norms behind their residuals, the exact GELU.

    The one type of token that sentences have (its segment A) is the first row of ``types``.
    """

    def __init__(self, *, vocabulary: int, positions: int, width: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.types = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, hidden, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True)
            for _ in range(layers)
        )

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """Tokens [N, L, C] of the numbers [N, L] of word pieces; ``mask`` [N, L] is true where there is one."""
        x = self.norm(self.words(numbers) + self.positions.weight[: numbers.shape[1]] + self.types.weight[0])
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~mask)
        return x


def load_network(folder: Path) -> MiniLmNetwork:
    """The network of a folder with ``config.json`` and ``model.safetensors``, frozen.

    Raises:
        OSError, KeyError: no such folder.
        WeightsError: the weights do not fit.
    """
    sizes = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with parameters_on_meta():
        network = MiniLmNetwork(
            vocabulary=sizes["vocab_size"],
            positions=sizes["max_position_embeddings"],
            width=sizes["hidden_size"],
            layers=sizes["num_hidden_layers"],
            heads=sizes["num_attention_heads"],
            hidden=sizes["intermediate_size"],
        )
    path = folder / "model.safetensors"
    load_state_dict(network, under_torch_names(read_state_dict(path)), str(path))
    return network.eval().requires_grad_(False)


def under_torch_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """BERT's state dict without its pooler under the names of :class:`MiniLmNetwork`: three projections become one."""
    named = {
        "words.weight": state["embeddings.word_embeddings.weight"],
        "positions.weight": state["embeddings.position_embeddings.weight"],
        "types.weight": state["embeddings.token_type_embeddings.weight"],
    }
    named |= {f"norm.{kind}": state[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")}
    layers = sum(name.endswith(".intermediate.dense.bias") for name in state)
    for layer in range(layers):
        old, new = f"encoder.layer.{layer}", f"layers.{layer}"
        for kind in ("weight", "bias"):
            inputs = [state[f"{old}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            named[f"{new}.self_attn.in_proj_{kind}"] = torch.cat(inputs)
            named |= {f"{new}.{ours}.{kind}": state[f"{old}.{theirs}.{kind}"] for theirs, ours in PARTS.items()}
    return named
