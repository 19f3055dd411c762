"""Broken and hostile weights files and configurations run nothing, and say what they are and what to do."""

import os
import pickle
import re
import tempfile
import warnings
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from hostile_files import CORPUS, PAGE, model, script_archive, state, touch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from ovrs.config import load_config
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.checkpoints import load_weights
from ovrs.modeling.weights_files import read_content, read_metadata


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_or_broken_file_runs_nothing_and_says_what_it_is(name, tmp_path, monkeypatch):
    ran = []
    canary, path = tmp_path / "canary", tmp_path / name
    write, message = CORPUS[name]
    write(path, canary)
    monkeypatch.setattr(os, "system", ran.append)
    target = model()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on protocols of pickle
        with pytest.raises(WeightsError) as raised:
            load_weights(target, path)
    assert str(path) in str(raised.value)
    assert re.search(message, str(raised.value), re.DOTALL), str(raised.value)
    assert len(str(raised.value)) < 700
    assert not ran and not canary.exists()
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize("new", [True, False])
def test_what_takes_more_memory_for_each_byte_than_a_model_is_refused(new, tmp_path, monkeypatch):
    torch.save([[] for _ in range(500)], tmp_path / "lists.pth", _use_new_zipfile_serialization=new)
    torch.save(state(), tmp_path / "model.pth", _use_new_zipfile_serialization=new)
    monkeypatch.setattr("ovrs.pickle_descriptions.MOST_OPERATIONS", 400)
    with pytest.raises(WeightsError, match="asks for more than 400 operations of pickle"):
        read_content(tmp_path / "lists.pth")
    assert set(read_content(tmp_path / "model.pth")) == set(state())


@pytest.mark.parametrize("new", [True, False])
def test_plain_values_beside_the_tensors_are_read(new, tmp_path):
    beside = {"step": 3, "rate": 0.1, "names": ("a", None, True), "raw": b"\xff", "kinds": {1, 2}, "dtype": torch.float16}
    beside |= {"size": torch.zeros(2, 3).shape, "milestones": Counter({5: 1}), "large": 2**40, "device": torch.device("cpu")}
    content = {"model": OrderedDict(state()), "parameter": nn.Parameter(torch.ones(2)), **beside}
    torch.save(content, tmp_path / "all.pth", _use_new_zipfile_serialization=new)
    read = read_content(tmp_path / "all.pth")
    assert {name: read[name] for name in beside} == beside
    assert torch.equal(read["parameter"], torch.ones(2)) and set(read["model"]) == set(state())


def test_the_payloads_of_the_corpus_do_run_where_nobody_looks(tmp_path):
    pickle.loads(pickle.dumps(touch(tmp_path / "canary")))  # else the corpus would prove nothing
    assert (tmp_path / "canary").exists()


def test_metadata_of_something_else_is_refused(tmp_path):
    (tmp_path / "page.safetensors").write_bytes(PAGE)
    with pytest.raises(WeightsError, match="a web page"):
        read_metadata(tmp_path / "page.safetensors")


@pytest.mark.parametrize("version", ["2.5.1", "2.9.1+cu128", "1.13.0"])
def test_an_old_pytorch_reads_no_pickles(version, tmp_path, monkeypatch):
    torch.save(state(), tmp_path / "model.pth")
    save_file(state(), tmp_path / "model.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(WeightsError, match=r"CVE-2026-24747\); install torch>=2\.10"):
        read_content(tmp_path / "model.pth")
    assert set(read_content(tmp_path / "model.safetensors")["model"]) == set(state())


BOMB = "MODEL:\n  PROMPTS:\n    - &a0 [lol, lol]\n" + "".join(
    f"    - &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MODEL:\n  WEIGHTS: !!python/object/apply:os.system ['touch CANARY']\n", "not readable as plain YAML.*os.system"),
        ("MODEL:\n  WEIGHTS: !!python/object/new:os.system ['touch CANARY']\n", "not readable as plain YAML"),
        ("MODEL: !!python/name:os.system\n", "not readable as plain YAML"),
        (BOMB, "aliases of YAML"),
        ("_BASE_: config.yaml\n", "names itself as _BASE_"),
        ("[" * 1000 + "]" * 1000, "nested too deep"),
        ("_BASE_: none.yaml\n", r"none\.yaml: cannot be read"),
    ],
)
@pytest.mark.parametrize("as_base", [False, True])
def test_a_configuration_is_plain_yaml(text, message, as_base, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    (tmp_path / "config.yaml").write_text(text.replace("CANARY", str(tmp_path / "canary")))
    (tmp_path / "above.yaml").write_text("_BASE_: [config.yaml]\n")
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load_config(str(tmp_path / ("above.yaml" if as_base else "config.yaml")))
    assert not ran and not (tmp_path / "canary").exists()


def small_files():
    """A valid file of each kind, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / f"model.{kind}" for kind in ("safetensors", "pth", "pt")}
        save_file(state(), paths["safetensors"])
        torch.save(OrderedDict(state()), paths["pth"])
        script_archive(paths["pt"])
        return {kind: path.read_bytes() for kind, path in paths.items()}


FILES = small_files()


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_the_same_shapes_or_a_weights_error(kind, data):
    text = bytearray(FILES[kind])
    for position, byte in data.draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(0, 255)), max_size=6)):
        text[position] = byte
    del text[data.draw(st.just(len(text)) | st.integers(0, len(text))) :]
    target = model()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"model.{kind}"
        path.write_bytes(text)
        try:
            load_weights(target, path)
        except WeightsError as error:
            assert str(path) in str(error)
    assert [value.shape for value in target.state_dict().values()] == [value.shape for value in model().state_dict().values()]
    assert all(value.isfinite().all() for value in target.state_dict().values())
