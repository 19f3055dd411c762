import importlib.util
from pathlib import Path

import pytest
import torch

from ovrs.modeling.weights_files import read_metadata, read_state_dict

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


@pytest.mark.parametrize(
    "arguments", [["none.pth", "x.safetensors"], ["none.pth", "x.pth"], ["a", "x.safetensors", "--about", "b"]]
)
def test_mistakes_are_said_and_nothing_is_written(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert export_weights.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ") and not list(tmp_path.iterdir())
