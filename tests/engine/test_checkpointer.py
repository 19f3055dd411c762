import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ovrs.engine.checkpointer import Checkpointer, plain
from ovrs.errors import OutputError, WeightsError


class Counter:
    """Something with a state beside the model."""

    def __init__(self):
        self.count = 0

    def state_dict(self):
        return {"count": np.int64(self.count), "rates": [np.float64(0.5)]}

    def load_state_dict(self, state):
        self.count = state["count"]


class Malice:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_model_and_state_come_back(tmp_path):
    model, counter = nn.Linear(3, 2), Counter()
    counter.count = 41
    Checkpointer(model, str(tmp_path), counter=counter).save("model_0", iteration=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint", "model_0.pth"]

    other, fresh = nn.Linear(3, 2), Counter()
    extras = Checkpointer(other, str(tmp_path), counter=fresh).resume_or_load("", resume=True)
    assert torch.equal(other.weight, model.weight)
    assert fresh.count == 41 and extras == {"iteration": 4}


def test_without_resume_only_the_model_is_loaded(tmp_path):
    model, counter = nn.Linear(3, 2), Counter()
    counter.count = 41
    Checkpointer(model, str(tmp_path), counter=counter).save("model_0")
    other, fresh = nn.Linear(3, 2), Counter()
    Checkpointer(other, str(tmp_path), counter=fresh).resume_or_load(str(tmp_path / "model_0.pth"), resume=False)
    assert torch.equal(other.weight, model.weight) and fresh.count == 0


def test_safetensors_are_loaded(tmp_path):
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    Checkpointer(other).load(str(tmp_path / "weights.safetensors"))
    assert torch.equal(other.weight, model.weight)


@pytest.mark.parametrize("name", ["weights.pkl", "weights.pth"])
def test_a_file_that_carries_code_is_refused_and_does_not_run(tmp_path, name):
    trap = tmp_path / "trap"
    with open(tmp_path / name, "wb") as file:
        if name.endswith(".pkl"):
            pickle.dump({"model": Malice(str(trap))}, file)
        else:
            torch.save({"model": {"weight": torch.zeros(2, 3)}, "extra": Malice(str(trap))}, file)
    with pytest.raises(WeightsError, match=name):
        Checkpointer(nn.Linear(3, 2)).load(str(tmp_path / name))
    assert not trap.exists()


def test_weights_that_do_not_fit_are_listed(tmp_path):
    Checkpointer(nn.Linear(3, 5, bias=False), str(tmp_path)).save("model")
    with pytest.raises(WeightsError, match=r"missing \(bias\).*weight is \(5, 3\) in the file, \(2, 3\) in the model"):
        Checkpointer(nn.Linear(3, 2)).load(str(tmp_path / "model.pth"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="absent.pth"):
        Checkpointer(nn.Linear(3, 2)).load(str(tmp_path / "absent.pth"))


def test_a_last_checkpoint_that_is_gone_is_named(tmp_path):
    (tmp_path / "last_checkpoint").write_text("model_9.pth")
    with pytest.raises(WeightsError, match="model_9.pth"):
        Checkpointer(nn.Linear(3, 2), str(tmp_path)).resume_or_load("", resume=True)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    checkpointer = Checkpointer(nn.Linear(3, 2), str(tmp_path))
    checkpointer.save("model")
    before = (tmp_path / "model.pth").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OutputError, match="model.pth: cannot be written: No space left"):
        checkpointer.save("model")
    assert (tmp_path / "model.pth").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint", "model.pth"]


def test_only_plain_values_are_saved():
    assert plain({"a": (np.float32(0.5), [None, True, "x"])}) == {"a": (0.5, [None, True, "x"])}
    with pytest.raises(TypeError, match="not object"):
        plain({"a": object()})
