"""Parameters and operations of a system: by hand where that is possible, and beside PyTorch's own counter."""

import pytest
import torch
from described_parts import tiny_metasegnet
from parts import tiny_aeroseg, tiny_mafn, tiny_rs_zeroseg, tiny_vit
from torch import nn

from ovrs.modeling.attention import attend
from ovrs.modeling.complexity import count_image, count_operations, count_parameters
from ovrs.vocabulary import Vocabulary


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def masked(query, key, value):
    return attend(query, key, value, mask=torch.zeros(1, 1, 1, key.shape[2]))


HEADS = [(2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 8)]


@pytest.mark.parametrize(
    ("module", "shapes", "operations"),
    [
        (nn.Linear(8, 16), [(3, 5, 8)], 3 * 5 * 8 * 16),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), [(2, 4, 5, 7)], 2 * (5 * 7) * 6 * (2 * 3 * 3)),
        (nn.Conv2d(4, 6, 4, stride=4), [(2, 4, 8, 12)], 2 * (2 * 3) * 6 * (4 * 4 * 4)),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), [(2, 4, 5, 7)], 2 * (5 * 7) * 4 * (6 * 2 * 2)),
        (Function(attend), HEADS, 2 * 4 * (5 * 7 * 8 + 5 * 7 * 8)),
        (Function(masked), HEADS, 2 * 4 * (5 * 7 * 8 + 5 * 7 * 8)),
        (Function(lambda x, y: torch.einsum("brchw,npc->brpnhw", x, y)), [(1, 4, 8, 3, 5), (6, 2, 8)], 4 * 8 * 15 * 6 * 2),
        (Function(torch.matmul), [(2, 3, 5, 8), (8, 7)], 2 * 3 * 5 * 8 * 7),
    ],
    ids=["linear", "grouped", "patches", "transposed", "attention", "masked", "einsum", "matmul"],
)
def test_one_multiplication_and_addition_are_one_operation(module, shapes, operations):
    counted = count_operations(module, tuple(torch.randn(shape) for shape in shapes))
    assert (counted.whole, counted.missed, counted.stages) == (operations, 0.0, {"head": operations})


def test_a_vision_transformer_is_the_sum_of_its_layers():
    tokens, dim = 8 * 8 + 1, 16
    attention = 4 * tokens * dim**2 + 2 * tokens**2 * dim
    block = attention + 8 * tokens * dim**2 + 2 * 5 * tokens * dim  # fvcore takes a norm as five operations an element
    patches = 8 * 8 * 3 * 4 * 4 * dim
    encoder = tiny_vit().eval()
    counted = count_operations(Function(lambda image: encoder(image)[2]), (torch.zeros(1, 3, 32, 32),))
    assert counted.whole == patches + 2 * block
    assert {"gelu", "add"} <= {*counted.uncounted} and "scaled_dot_product_attention" not in counted.uncounted


@pytest.mark.parametrize(
    ("build", "stages"),
    [
        (tiny_rs_zeroseg, {"vision_language", "guidance_encoder", "head"}),
        (tiny_aeroseg, {"vision_language", "guidance_encoder", "head"}),
        (lambda: tiny_aeroseg(guidance="clip"), {"vision_language", "head"}),
        (tiny_mafn, {"image_encoder", "head"}),
        (tiny_metasegnet, {"image_encoder", "head"}),
    ],
    ids=["rs_zeroseg", "aeroseg", "own guidance", "mafn", "metasegnet"],
)
def test_no_product_of_a_system_goes_uncounted(build, stages):
    counted = count_image(build().eval(), 32, Vocabulary.from_names("ab"))
    # fvcore takes sums over products of three tensors in another order, and rounds them to four figures.
    assert counted.missed < 1e-3
    assert {*counted.stages} == stages and sum(counted.stages.values()) == counted.whole and min(counted.stages.values()) > 0


def test_words_cost_the_head_and_no_text_tower():
    model = tiny_rs_zeroseg().eval()
    few, more = (count_image(model, 32, Vocabulary.from_names(names)).stages for names in ("ab", "abcd"))
    assert {name for name in few if few[name] != more[name]} == {"head"} and more["head"] < 2 * few["head"]
    assert model.vision_language.text_tower.calls == 2  # once a vocabulary, which no count has in it


def test_a_product_that_has_no_count_is_noticed():
    both = nn.Sequential(nn.Linear(8, 8), Function(lambda x: torch.baddbmm(x, x, x)))
    counted = count_operations(both, (torch.randn(1, 8, 8),), ["0", "absent"])
    assert counted.whole == 8**3 and counted.missed == 0.5 and counted.uncounted == {"baddbmm": 1}
    assert counted.stages == {"0": 8**3, "head": 0}


def test_parameters_that_learn_and_those_of_the_text_tower():
    text = 16 * 24
    model = tiny_rs_zeroseg(train="attention")
    counted = count_parameters(model)
    assert (counted.text, counted.text_trained) == (text, text)
    assert counted.every == sum(p.numel() for p in model.parameters())
    encoders = sum(p.numel() for part in (model.vision_language, model.guidance_encoder) for p in part.parameters())
    # Queries and values of two blocks of width 32, values of the third; the projection of the words; all but the encoders.
    assert counted.trained == 5 * 32**2 + text + counted.every - encoders
    frozen = count_parameters(tiny_rs_zeroseg(train="freeze"))
    assert (frozen.every, frozen.trained, frozen.text_trained) == (counted.every, counted.every - encoders, 0)
    model.vision_language.text_tower.parameters_outside = 1000
    beside = count_parameters(model)
    assert (beside.every, beside.text, beside.trained) == (counted.every + 1000, text + 1000, counted.trained)
