"""Parameters and operations of a system: by hand where that is possible, and beside PyTorch's own counter."""

import pytest
import torch
from described_parts import tiny_metasegnet
from parts import picture, tiny_aeroseg, tiny_mafn, tiny_rs_zeroseg, tiny_vit
from torch import nn

from ovrs.modeling.attention import attend
from ovrs.modeling.complexity import count_image, count_operations, count_parameters, count_work
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
    assert (counted.whole, counted.missed, counted.products) == (operations, 0.0, {"rest": operations})


def test_a_vision_transformer_is_the_sum_of_its_layers():
    tokens, dim = 8 * 8 + 1, 16
    attention = 4 * tokens * dim**2 + 2 * tokens**2 * dim
    block = attention + 8 * tokens * dim**2 + 2 * 5 * tokens * dim  # fvcore takes a norm as five operations an element
    patches = 8 * 8 * 3 * 4 * 4 * dim
    encoder = tiny_vit().eval()
    counted = count_operations(Function(lambda image: encoder(image)[2]), (torch.zeros(1, 3, 32, 32),))
    assert counted.whole == patches + 2 * block
    assert {"gelu", "add"} <= {*counted.uncounted} and "scaled_dot_product_attention" not in counted.uncounted


IMAGE = picture()[None].float()


@pytest.mark.parametrize(
    "build",
    [tiny_rs_zeroseg, tiny_aeroseg, lambda: tiny_aeroseg(guidance="clip"), tiny_mafn, tiny_metasegnet],
    ids=["rs_zeroseg", "aeroseg", "own guidance", "mafn", "metasegnet"],
)
def test_no_product_of_a_system_goes_uncounted(build):
    counted = count_image(build().eval(), IMAGE, Vocabulary.from_names("ab"))
    # fvcore takes sums over products of three tensors in another order, and rounds them to four figures.
    assert counted.missed < 1e-3
    # Norms and resizing are no products; in systems this narrow they are more than elsewhere.
    assert 0.7 * counted.whole < sum(counted.products.values()) < counted.whole
    assert all(counted.products[stage] > 0 for stage in ("image_encoder", "decoder")) and counted.products["text"] == 0


def test_words_cost_what_comes_behind_the_encoders_and_no_text_tower():
    model = tiny_aeroseg().eval()
    few, more = (count_image(model, IMAGE, Vocabulary.from_names(names)) for names in ("ab", "abcd"))
    dearer = {name for name in few.products if few.products[name] != more.products[name]}
    # Beside them, words are projected once to what guides the classes.
    assert dearer == {"cost_volume", "spatial", "class", "decoder", "rest"}
    assert more.products["spatial"] <= 2 * few.products["spatial"] and more.moved["decoder"] > few.moved["decoder"]
    assert model.vision_language.text_tower.calls == 2  # once a vocabulary, which no count has in it


def test_a_product_that_has_no_count_is_noticed():
    both = nn.Sequential(nn.Linear(8, 8), Function(lambda x: torch.baddbmm(x, x, x)))
    counted = count_operations(both, (torch.randn(1, 8, 8),))
    assert counted.whole == 8**3 and counted.missed == 0.5 and counted.uncounted == {"baddbmm": 1}
    assert counted.products == {"rest": 2 * 8**3}


def test_a_pass_backwards_is_two_products_for_one():
    model = nn.Linear(8, 16, bias=False)
    x = torch.randn(5, 8, requires_grad=True)

    def step(parts):
        loss = model(x).sum()
        with parts.during("backward"):
            loss.backward()

    assert count_work(model, step).products == {"rest": 5 * 8 * 16, "backward": 2 * 5 * 8 * 16}


def test_bytes_are_what_operators_read_and_write_and_views_move_none():
    x = torch.zeros(4, 8)  # 128 bytes

    def run(parts):
        y = x + 1.0  # read, written
        y.t().reshape(8, 4)[:2].unsqueeze(0)  # of these only reshape could copy, and need not
        y.expand(3, 4, 8) * 2.0  # what is expanded lies there once; what comes out does not

    assert count_work(nn.Identity(), run).moved == {"rest": 2 * 128 + 128 + 3 * 128}


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
