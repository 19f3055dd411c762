"""The CAT-Seg setting gives the public CAT-Seg's numbers; published layouts convert there and back."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from ovrs.config import load_config
from ovrs.errors import WeightsError
from ovrs.modeling.checkpoints import load_weights
from ovrs.modeling.layouts import from_layout, to_layout
from ovrs.modeling.weights_files import read_state_dict
from ovrs.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
sys.path[:0] = [str(GOLDEN), str(ROOT / "tools")]

import convert_checkpoint  # noqa: E402
import formula  # noqa: E402


def build(layout):
    cfg = load_config(
        str(ROOT / "configs" / "baselines" / f"{layout}_vitb16.yaml"), ["MODEL.DEVICE", "cpu", "DATASETS.TRAIN", "()"]
    )
    return build_model(cfg).eval()


@pytest.fixture(scope="module")
def catseg(tmp_path_factory):
    """Our CAT-Seg setting with the formula's weights, which came through the published file layout and the converter."""
    folder = tmp_path_factory.mktemp("golden")
    state = formula.weights("catseg")
    assert formula.digest(state) == formula.CATSEG_HASH
    torch.save(
        {"model": {name: torch.from_numpy(value) for name, value in state.items()}, "iteration": 3}, folder / "model.pth"
    )
    arguments = [str(folder / "model.pth"), str(folder / "model.safetensors"), "--layout", "catseg"]
    assert convert_checkpoint.main(arguments) == 0
    model = build("catseg")
    load_weights(model, folder / "model.safetensors")
    return model


@pytest.mark.slow
@pytest.mark.parametrize("pooling", [1, 2])
def test_logits_are_those_of_the_public_cat_seg(catseg, pooling):
    reference = np.load(GOLDEN / f"catseg_384_pool{pooling}.npz")
    catseg.pooling = (pooling, pooling)
    seen = {}
    hooks = [
        catseg.cost_embedding.register_forward_pre_hook(lambda module, args: seen.update(corr=args[0])),
        *(
            part.register_forward_hook(lambda module, args, output, name=f"layer{index}_{kind}": seen.update({name: output}))
            for index, block in enumerate(catseg.refinement)
            for kind, part in (("swin", block.spatial), ("class", block.classes))
        ),
    ]
    with torch.no_grad():
        vocabulary = Vocabulary.from_names(formula.DLRSD)
        logits = catseg.scores(torch.from_numpy(formula.image(7, 384, 384))[None], vocabulary)[0]
        text = torch.nn.functional.normalize(catseg.text_features(vocabulary.rows)[:, 0], dim=-1)
    for hook in hooks:
        hook.remove()
    assert np.abs(logits.numpy() - reference["logits"]).max() < 1e-4
    stride = 1 if pooling == 1 else 2
    assert np.abs(seen["corr"][0, :, :, ::stride, ::stride].numpy() - reference["corr"]).max() < 1e-5
    for name in ("layer0_swin", "layer0_class", "layer1_swin", "layer1_class"):
        ours = seen[name][0].permute(3, 0, 1, 2)[::16, :, ::4, ::4]
        assert np.abs(ours.numpy() - reference[name]).max() < 1e-4, name
    if pooling == 1:
        assert np.abs(text.numpy() - reference["text"]).max() < 1e-5


@pytest.mark.slow
def test_the_ovrs_layout_is_that_of_the_ovrs_setting():
    shapes = json.loads((GOLDEN / "ovrs_keys.json").read_text())
    published = {name: torch.empty(shape, device="meta") for name, shape in shapes.items() if not name.endswith("attn_mask")}
    ours = from_layout(published, "ovrs")
    assert {name: value.shape for name, value in ours.items()} == {n: v.shape for n, v in build("ovrs").state_dict().items()}


@pytest.mark.parametrize("layout", ["catseg", "ovrs"])
def test_layouts_convert_there_and_back(layout):
    names = {name: torch.tensor(0.0) for name in json.loads((GOLDEN / f"{layout}_keys.json").read_text())}
    ours = from_layout(names, layout)
    assert len(ours) == sum("attn_mask" not in name for name in names)
    assert set(to_layout(ours, layout)) == set(names)


def test_a_foreign_name_and_a_foreign_file_are_refused(tmp_path, capsys):
    with pytest.raises(WeightsError, match=r"backbone\.stem: not a name of the catseg layout"):
        from_layout({"backbone.stem": torch.zeros(1)}, "catseg")
    (tmp_path / "x.pth").write_bytes(b"not weights")
    assert convert_checkpoint.main([str(tmp_path / "x.pth"), str(tmp_path / "y.safetensors"), "--layout", "ovrs"]) == 2
    assert "x.pth" in capsys.readouterr().err and not (tmp_path / "y.safetensors").exists()
    with pytest.raises(WeightsError, match="no such weights file"):
        read_state_dict(tmp_path / "none.pth")
