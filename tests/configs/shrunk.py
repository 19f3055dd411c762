"""The published configurations at a size that trains in a second: every line of a file stays as it is, encoders are narrow.

Depths, patches, layers read and activations are those that the file's names stand for; widths are 16 or 32, and lengths in
pixels a quarter.
"""

import copy

import open_clip
import pytest
import timm
import torch
from transformers import BertConfig, BertModel

from ovrs.config import load_config
from ovrs.modeling.encoders import guidance

SHRINK = 4  # of every length in pixels: 384 becomes 96
SIDE = 384 // SHRINK

WIDTHS = [
    *("MODEL.COST.DIM", "16", "MODEL.COST.KERNEL", "3", "MODEL.REFINEMENT.HEADS", "2", "MODEL.REFINEMENT.WINDOW", "3"),
    *("MODEL.REFINEMENT.CLASS_PADDING", "20", "MODEL.DECODER.DIMS", "[16, 16]", "MODEL.BACK_PROJECTION.HIDDEN", "[16, 16]"),
    *("MODEL.GUIDANCE.SPATIAL_DIM", "8", "MODEL.GUIDANCE.TEXT_DIM", "8", "MODEL.GUIDANCE.DECODER_DIMS", "[4, 4]"),
    *("MODEL.RS_ZEROSEG.DIM", "16", "MODEL.RS_ZEROSEG.HEADS", "2", "MODEL.RS_ZEROSEG.FEATURE_DIM", "16"),
    *("MODEL.RS_ZEROSEG.HEAD_DIM", "8", "MODEL.DEVICE", "cpu", "TEST.INFERENCE", "whole"),
    *("MODEL.MAFN.DECODER_DIM", "16", "MODEL.MAFN.HEADS", "2", "MODEL.MAFN.HEAD_DIM", "4"),
    *("MODEL.TSMNET.DIM", "16", "MODEL.TSMNET.CONTEXT_DIM", "16", "MODEL.TSMNET.CONTEXT_HEADS", "2"),
    *("MODEL.METASEGNET.DIM", "16", "MODEL.METASEGNET.HEADS", "2"),
    *("MODEL.MAFN.CROSS_SCALE_GRID", "[4, 4]", "MODEL.IMAGE.DROP_PATH", "0.0"),
]
NO_WEIGHT_FILES = ["MODEL.VISION_LANGUAGE.WEIGHTS", "", "MODEL.GUIDANCE.WEIGHTS", ""]


def shrunk_config(path, options=()):
    """The file with narrow blocks and short sides, and no weights to read; ``options`` come last."""
    asked = load_config(str(path)).MODEL
    sides = ["MODEL.FIXED_SIZE", str(asked.FIXED_SIZE // SHRINK)]
    sides += ["MODEL.GUIDANCE.INPUT_SIZE", str(asked.GUIDANCE.INPUT_SIZE // SHRINK)]
    return load_config(str(path), [*WIDTHS, *NO_WEIGHT_FILES, *sides, *options])


def write_tiny_bert(folder, words):
    """BERT of two layers that knows these words, as a folder of the published layout; returns its path."""
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 256}
    BertModel(BertConfig(vocab_size=len(words), hidden_size=16, **sizes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words))
    return str(folder)


@pytest.fixture
def double_stays_double(monkeypatch):
    """Embeddings and sums ask for single precision in the midst of half; here they shall not round."""
    rounded = torch.Tensor.float
    monkeypatch.setattr(torch.Tensor, "float", lambda x: x if x.dtype == torch.float64 else rounded(x))


@pytest.fixture
def narrow_encoders(monkeypatch):
    """CLIP, SAM and models of timm under their own names, but narrow; Swin-B without most of the blocks of its third stage."""
    published = timm.create_model

    def narrow_clip(name, **kwargs):
        sizes = copy.deepcopy(open_clip.get_model_config(name))
        sizes["embed_dim"] = 24
        sizes["vision_cfg"].update(width=32, head_width=16)
        sizes["text_cfg"].update(width=32, heads=2, layers=2)
        return open_clip.CLIP(**sizes)

    def narrow_timm(name, **kwargs):
        if name.startswith("swin"):
            return published(name, **kwargs, embed_dim=16, num_heads=(1, 2, 4, 8), depths=(2, 2, 2, 2))
        return published(name, **kwargs, embed_dim=16, num_heads=2)

    narrow_sams = {name: (depth, 16, 2, blocks) for name, (depth, _, _, blocks) in guidance.SAM_SIZES.items()}
    monkeypatch.setattr(open_clip, "create_model", narrow_clip)
    monkeypatch.setattr(timm, "create_model", narrow_timm)
    monkeypatch.setattr(guidance, "SAM_SIZES", narrow_sams)
