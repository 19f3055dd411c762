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


def test_a_file_is_read_once(tmp_path, monkeypatch):
    model, counter, read = nn.Linear(3, 2), Counter(), []
    Checkpointer(model, str(tmp_path), counter=counter).save("model_0")
    original = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **keys: read.append(path) or original(path, **keys))
    Checkpointer(model, str(tmp_path), counter=counter).resume_or_load("", resume=True)
    assert read == [tmp_path / "model_0.pth"]


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


def saved(folder, count, **keys):
    """A checkpointer that has written checkpoints 0 to ``count`` - 1, whose bias is their number."""
    model = nn.Linear(3, 2)
    checkpointer = Checkpointer(model, str(folder), **keys)
    for iteration in range(count):
        nn.init.constant_(model.bias, iteration)
        checkpointer.save(f"model_{iteration:07d}", iteration=iteration)
    return checkpointer


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    place = content.index(np.float32(2.0).tobytes() * 2)  # in the weights, where reading alone notices nothing
    content[place] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "truncated": truncate,
    "a flipped bit": flip_a_byte,
    "garbage": lambda path: path.write_bytes(os.urandom(1000)),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_last_checkpoint_gives_way_to_the_one_before_with_a_warning(damage, tmp_path, caplog):
    saved(tmp_path, 3)
    damage(tmp_path / "model_0000002.pth")
    model = nn.Linear(3, 2)
    checkpointer = Checkpointer(model, str(tmp_path))
    checkpointer.logger.propagate = True
    assert checkpointer.resume_or_load("", resume=True) == {"iteration": 1}
    assert model.bias.tolist() == [1.0, 1.0]
    assert checkpointer.resumed_from == tmp_path / "model_0000001.pth"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "model_0000002.pth is damaged" in warnings[0] and "going on from" in warnings[0] and "model_0000001" in warnings[0]


@pytest.mark.parametrize("content", [b"", b"model_0000009.pth", b"../elsewhere.pth", b"\0\xff\0", None])
def test_the_newest_is_found_whatever_last_checkpoint_says(content, tmp_path):
    saved(tmp_path, 2)
    tag = tmp_path / "last_checkpoint"
    tag.unlink() if content is None else tag.write_bytes(content)
    checkpointer = Checkpointer(nn.Linear(3, 2), str(tmp_path))
    assert checkpointer.has_checkpoint()
    assert checkpointer.resume_or_load("", resume=True) == {"iteration": 1}


def test_best_weights_are_no_state_to_go_on_from(tmp_path):
    torch.save({"model": nn.Linear(3, 2).state_dict()}, tmp_path / "model_best.pth")
    assert not Checkpointer(nn.Linear(3, 2), str(tmp_path)).has_checkpoint()


def test_where_nothing_is_whole_every_damage_is_named(tmp_path):
    saved(tmp_path, 2)
    (tmp_path / "model_0000000.pth").write_bytes(b"")
    (tmp_path / "last_checkpoint").write_text("model_9.pth")
    (tmp_path / "model_0000001.pth").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match=r"model_9.pth is damaged \(missing\).*model_0000001.*model_0000000.pth.*empty"):
        Checkpointer(nn.Linear(3, 2), str(tmp_path)).resume_or_load("", resume=True)


def test_a_state_that_does_not_fit_the_configuration_is_an_error_and_no_damage(tmp_path):
    saved(tmp_path, 1)
    with pytest.raises(WeightsError, match=r"weight is \(2, 3\) in the file"):
        Checkpointer(nn.Linear(4, 2), str(tmp_path)).resume_or_load("", resume=True)
    weights = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(weights.parameters())
    Checkpointer(weights, str(tmp_path), optimizer=optimizer).save("model_0000005")
    other = torch.optim.AdamW([weights.weight])
    with pytest.raises(WeightsError, match="the training's state .optimizer. does not fit.*MODEL.WEIGHTS .*model_0000005.pth"):
        Checkpointer(weights, str(tmp_path), optimizer=other).resume_or_load("", resume=True)


@pytest.mark.parametrize(("kept", "left"), [(0, range(5)), (1, [4]), (3, [2, 3, 4]), (9, range(5))])
def test_so_many_checkpoints_stay_as_configured(kept, left, tmp_path):
    checkpointer = saved(tmp_path, 5, kept=kept)
    names = {f"model_{iteration:07d}.pth" for iteration in left}
    assert {path.name for path in tmp_path.glob("*.pth")} == names
    for name in ("model_final", "model_best"):  # have their own names, and take nobody's place
        checkpointer.save(name)
    assert {path.name for path in tmp_path.glob("*.pth")} == names | {"model_final.pth", "model_best.pth"}


def test_nothing_older_goes_before_the_newer_one_is_whole(tmp_path, monkeypatch):
    checkpointer = saved(tmp_path, 2, kept=2)
    write = torch.save

    def look(data, path):
        assert {path.name for path in tmp_path.glob("model_*.pth")} == {"model_0000000.pth", "model_0000001.pth"}
        write(data, path)

    monkeypatch.setattr(torch, "save", look)
    checkpointer.save("model_0000002")
    assert {path.name for path in tmp_path.glob("model_*.pth")} == {"model_0000001.pth", "model_0000002.pth"}


def test_a_restarted_training_in_the_same_folder_removes_the_old_ones_first(tmp_path):
    saved(tmp_path, 5)
    saved(tmp_path, 2, kept=3)
    assert {path.name for path in tmp_path.glob("*.pth")} == {f"model_{i:07d}.pth" for i in (0, 1, 4)}


def test_a_full_disk_is_named_however_torch_says_it(tmp_path, monkeypatch):
    checkpointer = saved(tmp_path, 1, kept=1)

    def fail(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OutputError, match="model_0000001.pth: cannot be written: Pytorch"):
        checkpointer.save("model_0000001")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint", "model_0000000.pth"]


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
