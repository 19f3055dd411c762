"""Every family of vision-language encoders against the library that owns it, on the same random weights, which came through
a file in the family's published layout; and the dense paths against plain references."""

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from parts import randomize
from safetensors.torch import save_file
from vision_language_families import FAMILIES, PATCH, SIGLIP_WORDS

from ovrs.modeling.checkpoints import load_vision_language
from ovrs.modeling.encoders.open_clip_models import from_open_clip

SIZES = [(32, 32), (48, 48), (24, 56)]  # native, larger, rectangular


def relative(ours, theirs):
    """Largest difference over largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def pair(request, tmp_path_factory):
    """(family, the library's model, ours with its weights from the published file)."""
    family, folder = request.param, tmp_path_factory.mktemp("family")
    theirs = family.model(seed=1)
    content = family.layout(theirs.state_dict())
    path = folder / f"weights{family.suffix}"
    save_file({k: v.clone() for k, v in content.items()}, path) if path.suffix == ".safetensors" else torch.save(content, path)
    ours = from_open_clip(family.model(seed=2), family.tokenizer(folder / "words"), taps=(1, 2)).eval()
    load_vision_language(ours, path)
    with torch.no_grad():
        yield family, theirs, ours


def images(size, seed=0):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------- positions, independently


def cubic(distance):
    """Keys' cubic convolution kernel with a = -0.75, as in every bicubic resize of PyTorch."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def bicubic(length, wanted):
    """[wanted, length]: pixel centres aligned, borders repeated, no antialiasing (CAT-Seg's way)."""
    matrix = np.zeros((wanted, length))
    for row in range(wanted):
        centre = (row + 0.5) * length / wanted - 0.5
        first = int(np.floor(centre)) - 1
        for column in range(first, first + 4):
            matrix[row, min(max(column, 0), length - 1)] += cubic(centre - column)
    return matrix


def resized(table, grid):
    """A table of positions [16, C] of a 4 x 4 grid, at ``grid``."""
    values = table.detach().double().numpy().reshape(4, 4, -1)
    rows, columns = bicubic(4, grid[0]), bicubic(4, grid[1])
    return torch.from_numpy(np.einsum("ri,cj,ijk->rck", rows, columns, values).reshape(grid[0] * grid[1], -1)).float()


def at_size(family, theirs, size):
    """The library's own model for images of ``size``: its positions resized, nothing else changed."""
    grid = (size[0] // PATCH, size[1] // PATCH)
    model = family.build(**family.settings)
    model.load_state_dict(theirs.state_dict())
    if family.siglip:
        trunk = model.visual.trunk
        trunk.pos_embed = torch.nn.Parameter(resized(trunk.pos_embed[0], grid)[None])
        trunk.patch_embed.strict_img_size = False
        trunk.patch_embed.grid_size = grid
    else:
        table = model.visual.positional_embedding
        model.visual.positional_embedding = torch.nn.Parameter(torch.cat([table[:1], resized(table[1:], grid)]))
    return model


def test_the_reference_s_bicubic_keeps_constants_and_the_trained_grid():
    assert np.allclose(bicubic(4, 7).sum(axis=1), 1) and np.allclose(bicubic(4, 4), np.eye(4))


# ---------------------------------------------------------------------------- agreement


@pytest.mark.parametrize("size", SIZES)
def test_the_global_embedding_is_the_library_s(pair, size):
    family, theirs, ours = pair
    assert relative(ours.global_embedding(images(size)), at_size(family, theirs, size).encode_image(images(size))) < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_taps_are_the_library_s_blocks(pair, size):
    family, theirs, ours = pair
    model = at_size(family, theirs, size)
    expected = model.visual.forward_intermediates(images(size), indices=[0, 1], intermediates_only=True)["image_intermediates"]
    for tap, block in zip(ours.image(images(size)).taps, expected, strict=True):
        assert relative(tap, block) < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_dense_embeddings_are_what_each_token_gives_alone(pair, size):
    """The library's own attention modules, handed one token at a time: attention over one token is its value."""
    family, theirs, ours = pair
    visual = at_size(family, theirs, size).visual
    dense = (siglip_alone if family.siglip else clip_alone)(visual, images(size))
    grid = (size[0] // PATCH, size[1] // PATCH)
    assert relative(ours.image(images(size)).dense, dense.transpose(1, 2).unflatten(2, grid)) < 1e-4


def clip_alone(visual, x, *, of_patches=True):
    blocks = visual.forward_intermediates(x, indices=[1], output_fmt="NLC", output_extra_tokens=True, intermediates_only=True)
    start = blocks["image_intermediates_prefix"][0]
    tokens = blocks["image_intermediates"][0] if of_patches else start
    last = visual.transformer.resblocks[-1]
    alone = tokens.flatten(0, 1)[:, None]
    y = start + last.attention(last.ln_1(alone)).view_as(tokens)
    return visual.ln_post(y + last.mlp(last.ln_2(y))) @ visual.proj


def siglip_alone(visual, x):
    tokens = visual.trunk.forward_features(x)
    return visual.trunk.forward_head(tokens.flatten(0, 1)[:, None]).view(*tokens.shape[:2], -1)


def test_what_is_pooled_beside_the_dense_embeddings(pair):
    """CLIP's: the class token along the same block without attention. SigLIP's: its own embedding of the image."""
    family, theirs, ours = pair
    if not family.siglip:
        expected = clip_alone(at_size(family, theirs, (48, 32)).visual, images((48, 32)), of_patches=False)[:, 0]
        assert relative(ours.image(images((48, 32))).pooled, expected) < 1e-4
        return
    assert torch.equal(ours.image(images((48, 32))).pooled, ours.global_embedding(images((48, 32))))
    one_patch = ours.image(images((PATCH, PATCH)))
    assert relative(one_patch.dense[:, :, 0, 0], one_patch.pooled) < 1e-5
    assert relative(one_patch.pooled, at_size(family, theirs, (PATCH, PATCH)).encode_image(images((PATCH, PATCH)))) < 1e-4


PROMPTS = [
    ["A satellite image of the sea", "Sea."],
    ["a_ship", "A satellite image of the ground track field, of the harbour of the town"],
    [" ".join(["harbour"] * 90), ""],
]


def test_text_of_any_length_is_the_library_s(pair):
    family, theirs, ours = pair
    flat = [text for row in PROMPTS for text in row]
    tokens = siglip_tokens(flat) if family.siglip else SimpleTokenizer(context_length=77)(flat)
    ends = tokens.argmax(dim=1) if not family.siglip else (tokens != 1).sum(dim=1)
    assert len(set(ends.tolist())) >= 4 and int(ends.max()) >= tokens.shape[1] - 1  # several lengths, and one cut
    assert relative(ours.text(PROMPTS), theirs.encode_text(tokens).view(3, 2, -1)) < 1e-4
    alone = torch.stack([ours.text([[text]])[0, 0] for text in flat])
    assert relative(alone.view(3, 2, -1), ours.text(PROMPTS)) < 1e-5  # what stands beside a text does not matter


def siglip_tokens(texts):
    """In lower case, without punctuation, an underscore for a space; cut or filled up to 16 with the end token."""
    rows = []
    for text in texts:
        words = "".join(c for c in text.lower().replace("_", " ") if c.isalpha() or c == " ").split()
        numbers = [SIGLIP_WORDS.index(word) + 3 if word in SIGLIP_WORDS else 0 for word in words][:15]
        rows.append(numbers + [1] * (16 - len(numbers)))
    return torch.tensor(rows)


# ------------------------------------------------------------------------------ weights


def test_every_parameter_came_from_the_file_and_is_of_single_precision(pair):
    _, theirs, ours = pair
    assert {value.dtype for value in ours.state_dict().values()} == {torch.float32}
    assert ours.logit_scale == theirs.logit_scale and "logit_bias" not in ours.state_dict()
    assert torch.equal(all_values(ours), all_values(theirs))


def all_values(module):
    """Every value of a state dict in rising order, however it is cut; without the largest table and the bias of the loss."""
    left_out = ("token_embedding.weight", "logit_bias")
    state = module.state_dict().items()
    return torch.cat([value.flatten() for name, value in state if not name.endswith(left_out)]).sort().values


def test_an_image_s_dense_gradients_reach_all_that_may_train(pair):
    family, _, _ = pair
    ours = from_open_clip(randomize(family.build(**family.settings)), None, train="full")
    with torch.enable_grad():
        ours.image(images((32, 32))).dense.square().sum().backward()
    visual = {name: p for name, p in ours.named_parameters() if name.startswith("visual.")}
    assert {name for name, p in visual.items() if p.grad is None} == set(ours.outside_dense_path())
    assert {name for name, p in visual.items() if not p.requires_grad} == set(ours.outside_dense_path())
    ours.set_trainable("attention")
    chosen = {name for name, p in ours.named_parameters() if p.requires_grad}
    split = {name for name, _ in ours.named_parameters() if name.endswith(("attn.q_proj_weight", "attn.v_proj_weight"))}
    assert chosen == split - set(ours.outside_dense_path()) and len(chosen) >= 9
