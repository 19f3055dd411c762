"""Reading fewer rotations than were trained, from the same weights."""

import itertools

import pytest
import torch
from parts import batch, picture, randomize, tiny_aeroseg

from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.modeling.blocks.cost_volume import CostEmbedding, fold_views
from ovrs.modeling.build_aeroseg import aeroseg_parts
from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.parse("ship,bridge,water")


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("views", [[0], [0, 2], [0, 3], [0, 1, 2, 3], [2, 0, 3]])
def test_costs_of_views_that_are_not_read_are_the_mean_of_those_that_are(views):
    embedding = CostEmbedding(channels=12, dim=5, kernel=3)  # 4 rotations, 3 prompts in each
    read = torch.randn(2, len(views), 3, 4, 6, 6)
    every = read.mean(dim=1, keepdim=True).expand(-1, 4, -1, -1, -1, -1).clone()
    for place, view in enumerate(views):
        every[:, view] = read[:, place]
    with torch.no_grad():
        close(embedding(read.flatten(1, 2), views=views, chunk=3), embedding(every.flatten(1, 2)))


def test_the_folded_kernel_against_a_loop():
    weight = torch.randn(2, 4 * 3, 5, 5)
    folded = fold_views(weight, [0, 2], 3)
    for d, place, p in itertools.product(range(2), range(2), range(3)):
        own, left_out = weight[d, 2 * place * 3 + p], weight[d, 1 * 3 + p] + weight[d, 3 * 3 + p]
        close(folded[d, place * 3 + p], own + left_out / 2)


@pytest.mark.parametrize("read", [(0,), (0, 2), (0, 1, 3)])
def test_where_all_views_agree_reading_some_of_them_changes_nothing(read):
    model = randomize(tiny_aeroseg()).eval()
    text = torch.randn(3, len(model.templates), 24)
    even = torch.full((1, 3, 32, 32), 90.0)
    even_views = model._encode(even)[0].mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)
    model._encode = lambda views: (even_views.expand(len(views), -1, -1, -1),)  # every patch alike, so every view
    with torch.no_grad():
        every = model.logits(even, text)
        model.read_rotations = read
        close(model.logits(even, text), every)


def test_only_the_views_asked_for_are_encoded_and_only_in_evaluation():
    model, seen = randomize(tiny_aeroseg(read_rotations=(0,))).eval(), []
    encode = model._encode
    model._encode = lambda views: (seen.append(len(views)), encode(views))[1]
    one = model([{"image": picture(), "vocabulary": WORDS}])[0]["sem_seg"]
    model.train()(batch(1))
    assert seen == [1, 4]
    model.eval().read_rotations = ()
    every = model([{"image": picture(), "vocabulary": WORDS}])[0]["sem_seg"]
    assert seen[-1] == 4 and not torch.equal(one, every)
    assert tiny_aeroseg(read_rotations=(0,)).state_dict().keys() == model.state_dict().keys()


def test_all_rotations_named_one_by_one_are_all_of_them():
    entry = [{"image": picture(), "vocabulary": WORDS}]
    plain, named = (randomize(tiny_aeroseg(read_rotations=read)).eval() for read in ((), (0, 1, 2, 3)))
    assert torch.equal(plain(entry)[0]["sem_seg"], named(entry)[0]["sem_seg"])


@pytest.mark.parametrize("read", ["[1]", "[0, 0]", "[0, 5]", "[2, 0]"])
def test_rotations_that_were_not_trained_are_refused(read):
    with pytest.raises(ConfigError, match=r"TEST\.ROTATIONS is .*give some of"):
        aeroseg_parts(load_config("mini", ["TEST.ROTATIONS", read]))
