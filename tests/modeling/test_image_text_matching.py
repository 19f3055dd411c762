"""Image-text matching of MetaSegNet and its queue, against loops: who is compared with whom, and what comes of it."""

import math
import multiprocessing

import numpy as np
import pytest
import torch
from block_checks import close, dead_parameters
from matching_process import batches, take_part
from parts import randomize

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.image_text_matching import (
    ImageTextMatching,
    hardest_negatives,
    multi_positive_contrast,
)
from ovrs.modeling.blocks.pair_queue import PairQueue, Pairs, prompt_numbers


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def unit(*shape):
    return torch.nn.functional.normalize(torch.randn(shape), dim=1)


def matching(queue=4, length=6, **changes):
    return ImageTextMatching(dim=8, queue=PairQueue(size=queue, length=length, dim=8), heads=2, **changes)


def pairs(prompts, places=5, length=6):
    """F_img, F_text, its mask and the prompts of a batch; the first text has three tokens."""
    count = len(prompts)
    mask = torch.ones(count, length, dtype=torch.bool)
    mask[0, 3:] = False
    return torch.randn(count, places, 8), torch.randn(count, length, 8), mask, torch.tensor(prompts)


# ------------------------------------------------------------------------ contrast


def test_each_positive_is_faced_with_the_negatives_alone():
    queries, keys = unit(3, 5), unit(6, 5)
    prompts, others = [1, 2, 1], [1, 2, 1, 3, 3, 2]
    same = torch.tensor(prompts)[:, None] == torch.tensor(others)
    scale = 7.0
    q, k = queries.double().numpy(), keys.double().numpy()
    rows = []
    for i, prompt in enumerate(prompts):
        negatives = [math.exp(scale * q[i] @ k[j]) for j, other in enumerate(others) if other != prompt]
        positives = [math.exp(scale * q[i] @ k[j]) for j, other in enumerate(others) if other == prompt]
        rows.append(np.mean([-math.log(p / (p + sum(negatives))) for p in positives]))
    assert multi_positive_contrast(queries, keys, same, torch.tensor(scale)).item() == pytest.approx(np.mean(rows), rel=1e-5)


def test_pairs_of_one_prompt_do_not_push_each_other_apart():
    queries, keys = unit(3, 5), unit(3, 5).requires_grad_()
    same = torch.tensor([1, 1, 2])[:, None] == torch.tensor([1, 1, 2])
    multi_positive_contrast(queries[:1], keys, same[:1], torch.tensor(5.0)).backward()
    towards = (keys.grad * queries[0]).sum(dim=1)
    assert towards[0] < 0 and towards[1] < 0 < towards[2]  # a step down the gradient brings both positives nearer


def test_nothing_but_positives_gives_0_and_gradients_of_0():
    queries, keys = unit(3, 5).requires_grad_(), unit(4, 5).requires_grad_()
    loss = multi_positive_contrast(queries, keys, torch.ones(3, 4, dtype=torch.bool), torch.tensor(100.0))
    loss.backward()
    assert loss == 0 and not queries.grad.any() and not keys.grad.any()


def test_the_hardest_negative_is_the_most_similar_text_of_another_prompt():
    images = unit(2, 5)
    texts = torch.stack([images[0], unit(1, 5)[0], 0.9 * images[0] + 0.1 * images[1], images[1]])
    same = torch.tensor([[True, False, False, False], [False, False, False, True]])
    numbers, found = hardest_negatives(images, texts, same)
    assert numbers[0] == 2 and numbers[1] != 3 and found.tolist() == [True, True]
    assert hardest_negatives(images, texts, torch.ones(2, 4, dtype=torch.bool))[1].tolist() == [False, False]


# ------------------------------------------------------------------------- matching


def test_a_batch_is_compared_with_itself_and_with_the_pairs_before_it():
    block = randomize(matching()).eval()
    first, second = pairs([1, 2]), pairs([1, 3, 1])
    with torch.no_grad():
        block(*first)
        found = block(*second)
    embedded = []
    for image, text, mask, _ in (second, first):
        mean = torch.stack([words[there].mean(dim=0) for words, there in zip(text, mask, strict=True)])
        embedded.append([torch.nn.functional.normalize(x, dim=1) for x in (block.image(image.mean(dim=1)), block.text(mean))])
    (images, texts), _ = embedded
    all_images, all_texts = (torch.cat([new, old]) for new, old in zip(*embedded, strict=True))
    same = second[3][:, None] == torch.cat([second[3], first[3]])
    scale = block.logit_scale.exp()
    expected = multi_positive_contrast(images, all_texts, same, scale) + multi_positive_contrast(texts, all_images, same, scale)
    close(found.contrast, expected)
    tokens, masks = torch.cat([second[1], first[1]]), torch.cat([second[2], first[2]])
    numbers, _ = hardest_negatives(images, all_texts, same)
    terms = []
    for i, number in enumerate(numbers.tolist()):
        assert not same[i, number]
        for words, there, answer in ((second[1][i], second[2][i], 1), (tokens[number], masks[number], 0)):
            logits = block._belongs(second[0][i : i + 1], words[None, there], there[None, there])
            terms.append(-logits.log_softmax(dim=1)[0, answer])
    close(found.matched, torch.stack(terms).mean())
    close(found.loss, found.contrast + found.matched)
    assert found.compared


def test_one_prompt_gives_0_and_gradients_of_0_and_so_it_stays_while_the_queue_holds_it():
    block = matching()
    for _ in range(3):
        block.zero_grad()
        found = block(*pairs([7, 7]))
        found.loss.backward()
        assert found.loss == 0 and not found.compared
        assert all(p.grad is not None and not p.grad.any() for p in block.parameters())
    assert block(*pairs([7, 8])).compared
    assert block(*pairs([7, 7])).compared  # the 8 is in the queue


@pytest.mark.parametrize("value", [0.0, 100.0, float("nan")])
def test_what_stands_where_there_is_no_token_never_matters(value):
    block = randomize(matching(length=9)).eval()
    image, text, mask, prompts = pairs([1, 2, 3])
    with torch.no_grad():
        expected = block(image, text, mask, prompts)
        block.queue.clear()
        found = block(image, text.masked_fill(~mask[:, :, None], value), mask, prompts)
    close(found.contrast, expected.contrast)
    close(found.matched, expected.matched)


def test_more_padding_changes_nothing():
    block = randomize(matching(length=9)).eval()
    image, text, mask, prompts = pairs([1, 2, 3])
    longer = torch.cat([text, torch.randn(3, 3, 8)], dim=1), torch.cat([mask, torch.zeros(3, 3, dtype=torch.bool)], dim=1)
    with torch.no_grad():
        expected = block(image, text, mask, prompts)
        block.queue.clear()
        found = block(image, *longer, prompts)
    close(found.loss, expected.loss)


def test_nothing_in_matching_is_dead(monkeypatch):
    rounded = torch.Tensor.float
    monkeypatch.setattr(torch.Tensor, "float", lambda x: x if x.dtype == torch.float64 else rounded(x))
    image, text, mask, prompts = pairs([1, 2, 3])
    inputs = image.double(), text.double(), mask, prompts
    assert not dead_parameters(matching(), lambda block: [block(*inputs).contrast, block(*inputs).matched])


def test_a_text_behind_an_image_of_its_own_learns_to_belong():
    block = matching(queue=8)
    image, text, mask, prompts = pairs([1, 2, 3, 4])
    optimizer = torch.optim.Adam(block.parameters(), lr=3e-3)
    course = []
    for _ in range(100):
        found = block(image, text, mask, prompts)
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()
        course.append((found.contrast.item(), found.matched.item()))
    assert course[-1][0] < 0.1 * course[0][0] and course[-1][1] < 0.1


def test_matching_in_mixed_precision_answers_as_in_single():
    block, batch = matching(), pairs([1, 2, 3])
    expected = block(*batch)
    block.queue.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block(*batch)
    assert found.contrast.dtype == found.matched.dtype == torch.float32
    close(found.loss, expected.loss, 0.1)


# ---------------------------------------------------------------------------- queue


def numbered(first, count, length=2):
    """Pairs whose every number is that of the pair."""
    numbers = torch.arange(first, first + count)
    x = numbers[:, None].float().expand(-1, 3)
    mask = torch.ones(count, length, dtype=torch.bool)
    return Pairs(x, x + 0.5, x[:, None].expand(-1, length, -1), mask, numbers)


def test_the_oldest_pair_goes_when_one_comes():
    queue = PairQueue(size=4, length=2, dim=3)
    assert len(queue) == 0 and not queue.full and len(queue.pairs().images) == 0
    queue.push(numbered(0, 3))
    assert len(queue) == 3 and not queue.full
    queue.push(numbered(3, 3))
    held = queue.pairs()
    assert queue.full and sorted(held.prompts.tolist()) == [2, 3, 4, 5]
    for part in (held.images, held.texts - 0.5, held.tokens[:, 0], held.tokens[:, 1]):
        assert part[:, 0].tolist() == held.prompts.tolist()
    queue.push(numbered(10, 9))  # more than there is room for
    assert sorted(queue.pairs().prompts.tolist()) == [15, 16, 17, 18]
    queue.push(numbered(20, 1))
    assert sorted(queue.pairs().prompts.tolist()) == [16, 17, 18, 20]


def test_shorter_texts_are_kept_with_their_masks_and_longer_ones_are_refused():
    queue = PairQueue(size=2, length=4, dim=3)
    queue.push(numbered(0, 1))
    assert queue.pairs().masks.tolist() == [[True, True, False, False]]
    with pytest.raises(ConfigError, match=r"a text of 5 tokens in a queue of texts of 4; MODEL\.TEXT\.MAX_TOKENS"):
        queue.push(numbered(0, 1, length=5))
    with pytest.raises(ConfigError, match="a queue of -1 pairs"):
        PairQueue(size=-1, length=4, dim=3)


def test_pairs_in_the_queue_have_no_gradient_and_give_none():
    block = matching()
    held = [pairs([1, 2]), pairs([3, 1])]
    first = [part.requires_grad_() if part.is_floating_point() else part for part in held[0]]
    block(*first).loss.backward()
    queue = block.queue.pairs()
    assert not any(part.requires_grad for part in (queue.images, queue.texts, queue.tokens))
    for part in first[:2]:
        part.grad = None
    block(*held[1]).loss.backward()  # meets them as keys and as negatives
    assert first[0].grad is None and first[1].grad is None
    assert all(parameter.grad is not None for parameter in block.parameters())


def test_the_number_of_pairs_is_known_without_the_buffer_and_is_the_same():
    queue = PairQueue(size=4, length=2, dim=3)
    for count, held in ((3, 3), (3, 4), (9, 4)):
        queue.push(numbered(0, count))
        assert len(queue) == held
    assert queue.queued_count == 15
    other = PairQueue(size=4, length=2, dim=3)
    other.load_state_dict(queue.state_dict())
    assert other.full and not PairQueue(size=4, length=2, dim=3).full
    queue.clear()
    assert len(queue) == 0 and queue.queued_count == 0 and len(queue.pairs().images) == 0


def test_without_a_queue_a_batch_is_compared_with_itself_alone():
    block = matching(queue=0)
    assert block(*pairs([1, 2])).compared and not block(*pairs([1, 1])).compared
    assert block.queue.full and len(block.queue) == 0


def test_the_queue_comes_back_with_a_checkpoint():
    block, other = matching(), randomize(matching())
    block(*pairs([1, 2, 3]))
    other.load_state_dict(block.state_dict())
    batch = pairs([1, 1])
    with torch.no_grad():
        found, expected = other(*batch), block(*batch)
    close(found.loss, expected.loss)
    assert found.compared and torch.equal(other.queue.queued_prompts, block.queue.queued_prompts)


def test_a_prompt_has_one_number_everywhere():
    numbers = prompt_numbers(["a dry place", "a wet place", "a dry place"])
    assert numbers[0] == numbers[2] != numbers[1]
    assert prompt_numbers(["It is a remote sensing image."]).tolist() == [-1545480410808043285]


# ------------------------------------------------------------------- over processes


def test_two_processes_see_the_same_keys_and_learn_as_one(tmp_path):
    block, found = batches()
    for batch in found:
        block.zero_grad()
        alone = block(*batch)
        alone.loss.backward()
    other = multiprocessing.get_context("forkserver").Process(target=take_part, args=(1, tmp_path / "meeting"))
    other.start()
    contrast, matched, gradients, queue = take_part(0, tmp_path / "meeting")
    other.join(100)
    assert other.exitcode == 0
    close(contrast, alone.contrast)
    close(matched, alone.matched)
    for name, parameter in block.named_parameters():
        close(gradients[name], parameter.grad, 1e-5)
    for name, buffer in block.queue.named_buffers():
        close(queue[name], buffer)
