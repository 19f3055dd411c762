import importlib.util
import json
from pathlib import Path

import pytest
import torch
import yaml

from ovrs.config import load_config
from ovrs.modeling.header import about_configuration, contradictions, warn_of_contradictions
from ovrs.modeling.weights_files import read_metadata, read_state_dict, write_state_dict

MINI = Path(__file__).parents[2] / "configs" / "mini" / "aeroseg.yaml"
RS_ZEROSEG = MINI.with_name("rs_zeroseg.yaml")
MAFN = MINI.with_name("mafn.yaml")
path = Path(__file__).parents[2] / "tools" / "export_weights.py"
spec = importlib.util.spec_from_file_location("export_weights", path)
export_weights = importlib.util.module_from_spec(spec)
spec.loader.exec_module(export_weights)


def test_a_checkpoint_becomes_weights_with_a_header(tmp_path):
    state = {"weight": torch.tensor([0.5, 2.0]), "steps": torch.tensor(7)}
    torch.save({"model": state, "optimizer": {"lr": 0.1}, "iteration": 9}, tmp_path / "model.pth")
    target = tmp_path / "model.safetensors"
    assert export_weights.main([str(tmp_path / "model.pth"), str(target), "--half", "--about", "data=drawn = synthetic"]) == 0
    read = read_state_dict(target)
    assert read["weight"].dtype == torch.float16 and read["weight"].tolist() == [0.5, 2.0] and read["steps"].item() == 7
    assert read_metadata(target)["data"] == "drawn = synthetic"


def test_pairs_that_a_training_met_last_stay_behind(tmp_path):
    state = {"matching.queue.queued_tokens": torch.ones(2), "matching.image.weight": torch.ones(2)}
    torch.save({"model": state}, tmp_path / "model.pth")
    assert export_weights.main([str(tmp_path / "model.pth"), str(tmp_path / "model.safetensors")]) == 0
    assert [*read_state_dict(tmp_path / "model.safetensors")] == ["matching.image.weight"]


@pytest.mark.parametrize(
    "arguments", [["none.pth", "x.safetensors"], ["none.pth", "x.pth"], ["a", "x.safetensors", "--about", "b"]]
)
def test_mistakes_are_said_and_nothing_is_written(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert export_weights.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ") and not list(tmp_path.iterdir())


def mini(tmp_path, *arguments, config=MINI):
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "m.pth")
    target = tmp_path / "m.safetensors"
    given = ["--config-file", str(config), *arguments]
    assert export_weights.main([str(tmp_path / "m.pth"), str(target), *given]) == 0
    return target


def test_the_header_says_what_the_weights_are(tmp_path, capsys):
    (tmp_path / "report.json").write_text(json.dumps({"scenes_val": {"mIoU": 51.5}}))
    target = mini(tmp_path, "--licence", "research use", "--scores", str(tmp_path / "report.json"))
    about = read_metadata(target)
    assert yaml.safe_load(about["architecture"])["REFINEMENT"]["WINDOW"] == 6
    assert {"name": "ship", "seen": True} in json.loads(about["classes"])
    assert json.loads(about["versions"])["torch"] and about["licence"] == "research use" and about["data"] == "scenes_train"
    assert json.loads(about["scores"])["scenes_val"]["mIoU"] == 51.5 and len(about["date"]) == 10
    capsys.readouterr()
    assert export_weights.main(["--show", str(target)]) == 0
    assert "licence: research use" in capsys.readouterr().out


def test_a_system_of_sentences_has_no_classes_in_its_header(tmp_path):
    about = read_metadata(mini(tmp_path, config=MAFN))
    assert "classes" not in about and about["data"] == "scenes_refer_train"
    assert yaml.safe_load(about["architecture"])["MAFN"]["GUIDED"] is True


def test_what_contradicts_the_header_is_named(tmp_path, caplog):
    target = mini(tmp_path)
    same = load_config(str(MINI))
    assert not contradictions(same, target)
    other = load_config(str(MINI), ["MODEL.PROMPTS", "photo", "MODEL.REFINEMENT.WINDOW", "4", "MODEL.CLASS_CHUNK", "1"])
    warn_of_contradictions(other, target)
    assert "MODEL.PROMPTS is 'photo', the weights are of 'remote_sensing'" in caplog.text
    assert "MODEL.REFINEMENT.WINDOW is 4, the weights are of 6" in caplog.text and "CLASS_CHUNK" not in caplog.text
    assert not contradictions(other, tmp_path / "m.pth")


def test_a_system_is_compared_by_the_keys_that_it_reads(tmp_path):
    target = mini(tmp_path, config=RS_ZEROSEG)
    unread = [
        "MODEL.REFINEMENT.WINDOW",
        "4",
        "MODEL.MAX_CLASSES",
        "0",
        "MODEL.GUIDANCE.TEXT_DIM",
        "8",
        "MODEL.DECODER.DIMS",
        "[8, 8]",
    ]
    assert not contradictions(load_config(str(RS_ZEROSEG), unread), target)
    (found,) = contradictions(load_config(str(RS_ZEROSEG), ["MODEL.RS_ZEROSEG.SCALES", "[1.0]"]), target)
    assert found == "MODEL.RS_ZEROSEG.SCALES is [1.0], the weights are of [2.0, 1.0, 0.5]"
    options = ["MODEL.RS_ZEROSEG.HEAD", "decoder", "MODEL.DECODER.DIMS", "[8, 8]"]
    assert len(contradictions(load_config(str(RS_ZEROSEG), options), target)) == 2
    target = mini(tmp_path)
    assert not contradictions(load_config(str(MINI), ["MODEL.RS_ZEROSEG.DIM", "8", "MODEL.MAFN.RADIUS", "2"]), target)


def test_mafn_is_compared_by_its_own_keys_and_those_of_the_tower_that_guides_it(tmp_path):
    write_state_dict({"w": torch.zeros(1)}, tmp_path / "m.safetensors", about_configuration(load_config(str(MAFN))))

    def found(*options):
        return contradictions(load_config(str(MAFN), options), tmp_path / "m.safetensors")

    unread = ["MODEL.COST.DIM", "8", "MODEL.GUIDANCE.TEXT_DIM", "8", "MODEL.IMAGE.DROP_PATH", "0.5"]
    assert not found() and not found(*unread, "MODEL.VISION_LANGUAGE.ROTATIONS", "[0]")
    for key, value in (("MAFN.RADIUS", "2"), ("IMAGE.SMALL.PLACES", "False"), ("VISION_LANGUAGE.SMALL.WIDTH", "96")):
        (line,) = found(f"MODEL.{key}", value)
        assert line.startswith(f"MODEL.{key} is {value}")
    assert len(found("MODEL.MAFN.GUIDED", "False", "MODEL.VISION_LANGUAGE.SMALL.WIDTH", "96")) == 1


@pytest.mark.parametrize(
    "architecture",
    [
        "a0: &a0 {x: 1, y: 1}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 60)),
        "a: &a {x: *a}",
        "[" * 1_500,
        "1: {2: 3}",
        "- word",
        "!!python/object/apply:os.getcwd []",
        "a: " + "x" * 200_000,
    ],
    ids=["doubled", "circle", "deep", "numbers", "list", "object", "long"],
)
def test_a_hostile_header_is_not_unfolded(tmp_path, architecture):
    write_state_dict({"w": torch.zeros(1)}, tmp_path / "m.safetensors", {"architecture": architecture})
    assert contradictions(load_config(str(MINI)), tmp_path / "m.safetensors") == ["its header's architecture is not readable"]


def test_a_list_that_stands_twice_in_a_configuration_is_written_twice(tmp_path):
    cfg = load_config(str(MINI))
    cfg.defrost()
    cfg.MODEL.GUIDANCE.PIXEL_MEAN = cfg.MODEL.VISION_LANGUAGE.PIXEL_MEAN = [1.0, 2.0, 3.0]
    assert "*" not in about_configuration(cfg)["architecture"]


def test_scores_that_are_no_json_are_refused(tmp_path, capsys):
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "m.pth")
    assert (
        export_weights.main([str(tmp_path / "m.pth"), str(tmp_path / "m.safetensors"), "--scores", str(tmp_path / "m.pth")])
        == 2
    )
    assert "not readable as JSON" in capsys.readouterr().err and not (tmp_path / "m.safetensors").exists()
