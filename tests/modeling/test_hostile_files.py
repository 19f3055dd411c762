"""Broken and hostile weights files and configurations run nothing, and say what they are and what to do."""

import builtins
import codecs
import os
import pickle
import random
import re
import struct
import tempfile
import warnings
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from ovrs.config import load_config
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.checkpoints import load_weights
from ovrs.modeling.weights_files import read_content, read_metadata

PAGE = b"<!DOCTYPE html><html><body>Sign in to download</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 1250\n"


def model():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


class Call:
    """Pickled as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def touch(canary):
    return Call(os.system, f"touch {canary}")


def evaluate(canary):
    return Call(builtins.eval, f"open({str(canary)!r}, 'w')")


def attribute(canary):
    return Call(getattr, Call(__import__, "os"), f"system('touch {canary}')")


def script_archive(path, description=None, changed=lambda text: text):
    """A TorchScript archive of the model with another ``data.pkl``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the files it wrote are not
        torch.jit.save(torch.jit.trace(model().eval(), torch.zeros(1, 3)), path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, changed(description or text) if name.endswith("/data.pkl") else text)


def endless_modules():
    """Sixty modules, each holding the next one twice: a few lines that would unfold to 2^60 modules."""
    new = b"c__torch__\nM\n)\x81}(X\x01\x00\x00\x00aK\x01ub"
    text = b"\x80\x02" + new + b"q\x00"
    for _ in range(60):
        text += b"c__torch__\nM\n)\x81}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00ubq\x00"
    return text + b"."


def rezipped(path, compression=zipfile.ZIP_STORED, renamed=lambda name: name):
    """What ``torch.save`` writes, zipped by somebody else."""
    torch.save({"0.weight": torch.zeros(100, 100)}, path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, text in contents.items():
            archive.writestr(renamed(name), text)


def overstated(path):
    """An archive whose table gives a member two gigabytes."""
    rezipped(path)
    text = bytearray(path.read_bytes())
    entry = text.index(b"PK\x01\x02")
    text[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(text)


def doubled(times):
    """A byte written as two hexadecimal digits, those as four, and so on."""
    call = Call(codecs.encode, "x", "latin1")
    for _ in range(times):
        call = Call(codecs.encode, call, "hex")
    return call


def two_tables(path):
    """An archive with a harmless table for readers that look right before the end, and another where the end says."""
    rezipped(path, zipfile.ZIP_DEFLATED)
    compressed = path.read_bytes()
    rezipped(path)
    path.write_bytes(compressed[:-22] + path.read_bytes()[:-22] + compressed[-22:])


def two_cases(path):
    """An archive with a second ``data.pkl`` in capitals, which PyTorch could take for the first."""
    rezipped(path)
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/DATA.PKL", pickle.dumps(1, 2))


def cut(path, save, share=0.6):
    save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def state(**changes):
    """The model's, with other values of the linear layer."""
    return {**model().state_dict(), **{f"0.{name}": value for name, value in changes.items()}}


def sam():
    names = ("patch_embed.proj.bias", "blocks.0.attn.rel_pos_h", "neck.0.weight")
    patches = {"image_encoder.patch_embed.proj.weight": torch.zeros(1024, 3, 2, 2)}
    return patches | {f"image_encoder.{name}": torch.zeros(2) for name in names}


# file name: (what writes it, given the path and what a payload would make; what the message says)
CORPUS = {
    "system.pth": (lambda path, canary: path.write_bytes(pickle.dumps(touch(canary), 2)), r"asks for posix\.system"),
    "eval.pth": (lambda path, canary: torch.save({"model": evaluate(canary)}, path), r"asks for .*eval.*run code"),
    "getattr.pt": (lambda path, canary: torch.save(attribute(canary), path), r"asks for .*__import__"),
    "legacy.pth": (
        lambda path, canary: torch.save(touch(canary), path, _use_new_zipfile_serialization=False),
        r"asks for posix\.system",
    ),
    "script.pt": (lambda path, canary: script_archive(path, pickle.dumps(touch(canary), 2)), r"holds a call of posix\.system"),
    "script_eval.pt": (lambda path, canary: script_archive(path, pickle.dumps(evaluate(canary), 4)), "operation"),
    "script_object.pt": (
        lambda path, _: script_archive(path, b"\x80\x02csubprocess\nPopen\n)\x81."),
        r"an object of subprocess\.Popen",
    ),
    "script_state.pt": (
        lambda path, _: script_archive(path, b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb."),
        r"attributes given to torch\._utils\._rebuild_tensor_v2",
    ),
    "script_endless.pt": (lambda path, _: script_archive(path, endless_modules()), "more than"),
    "script_beyond.pt": (
        lambda path, _: script_archive(path, changed=lambda text: text.replace(b"K\x06tQ", b"K\xfftQ")),
        "damaged TorchScript",
    ),
    "bomb.pth": (lambda path, _: rezipped(path, zipfile.ZIP_DEFLATED), "is compressed.*get the file from its publisher"),
    "overstated.pth": (lambda path, _: overstated(path), "declares|damaged"),
    "escaping.pth": (lambda path, _: rezipped(path, renamed=lambda name: f"../{name}"), "leads out of it"),
    "other.pth": (lambda path, _: zipfile.ZipFile(path, "w").writestr("a/word.xml", b"<w/>"), "none of PyTorch weights"),
    "cut.pth": (lambda path, _: cut(path, lambda target: torch.save(state(), target)), "cut off or damaged.*get it again"),
    "cut.safetensors": (lambda path, _: cut(path, lambda target: save_file(state(), target)), "get (it|the file) again"),
    "header.safetensors": (
        lambda path, _: path.write_bytes(struct.pack("<Q", 2**40) + b"{" + b" " * 100),
        "not readable as safetensors: cut off, or another kind",
    ),
    "long_header.safetensors": (
        lambda path, _: path.write_bytes(struct.pack("<Q", 40 * 2**20) + b"{" + b" " * (40 * 2**20)),
        "its header of 41,943,040 bytes",
    ),
    "whole.safetensors": (
        lambda path, _: save_file(state(weight=torch.zeros(2, 3, dtype=torch.int32)), path),
        "0.weight is int32 in the file, float32 in the model",
    ),
    "complex.pth": (
        lambda path, _: torch.save(state(weight=torch.zeros(2, 3, dtype=torch.complex64)), path),
        "0.weight is complex64 in the file",
    ),
    "nan.safetensors": (
        lambda path, _: save_file(state(bias=torch.tensor([0.0, torch.nan])), path),
        r"1 with NaN or infinite values \(0\.bias\); the training diverged",
    ),
    "infinite.pth": (
        lambda path, _: torch.save(state(bias=torch.tensor([0.0, -torch.inf]).half()), path),
        r"1 with NaN or infinite values \(0\.bias\)",
    ),
    "beyond_single.pth": (lambda path, _: torch.save(state(bias=torch.tensor([0.0, 1e300]).double()), path), "0\\.bias"),
    "shapes.safetensors": (
        lambda path, _: save_file(state(weight=torch.zeros(5, 3)), path),
        r"0\.weight is \(5, 3\) in the file, \(2, 3\) in the model",
    ),
    "sam.pth": (lambda path, _: torch.save(sam(), path), r"looks like SAM's image encoder \(ViT-L\)"),
    "catseg.pth": (
        lambda path, _: torch.save({"model": {"sem_seg_head.predictor.clip_model.visual.proj": torch.zeros(1)}}, path),
        r"looks like a CAT-Seg checkpoint: convert it with tools/convert_checkpoint\.py",
    ),
    "empty.pth": (lambda path, _: path.write_bytes(b""), "empty; the download"),
    "page.pth": (lambda path, _: path.write_bytes(PAGE), "a web page, not weights.*get it again"),
    "page.safetensors": (lambda path, _: path.write_bytes(b"\n" + PAGE), "a web page, not weights"),
    "pointer.safetensors": (lambda path, _: path.write_bytes(POINTER), "pointer of Git LFS.*git lfs pull"),
    "noise.pth": (lambda path, _: path.write_bytes(random.Random(0).randbytes(1000)), "not readable as plain tensors"),
    "folder.pth": (lambda path, _: path.mkdir(), "a folder, not a weights file; name a file in it"),
    "weights.pkl": (
        lambda path, canary: path.write_bytes(pickle.dumps(touch(canary))),
        "can run code and are not read; convert",
    ),
    "loop.pth": (lambda path, _: path.symlink_to(path), "cannot be read: Too many levels|no such weights file"),
    "missing.pth": (lambda path, _: None, "no such weights file"),
    "list.pth": (lambda path, _: torch.save([1, 2], path), "holds no state dict"),
    "number.pth": (lambda path, _: torch.save({1: torch.zeros(1)}, path), "holds no state dict"),
    "claims.pth": (lambda path, _: torch.save(state(weight=torch.zeros(1).expand(2**40)), path), "more than the file can"),
    "shell.pth": (lambda path, _: torch.save(state(weight=torch.zeros(2, 3, device="meta")), path), "no plain tensor"),
    "sparse.pth": (
        lambda path, _: torch.save(state(weight=torch.eye(2, 3).to_sparse()), path),
        r"asks for torch\._utils\._rebuild_sparse_tensor",
    ),
    "bytes.pth": (
        lambda path, _: torch.save(Call(bytearray, 2**31 - 1), path),
        r"asks for .*\.bytearray, which could run code or take endless memory",
    ),
    "legacy_bytes.pth": (
        lambda path, _: torch.save(Call(bytearray, 2**31 - 1), path, _use_new_zipfile_serialization=False),
        r"asks for .*\.bytearray",
    ),
    "doubled.pth": (lambda path, _: torch.save(doubled(40), path), r"asks for _codecs\.encode"),
    "counted.pth": (
        lambda path, _: torch.save(Call(Counter, torch.zeros(1).expand(2**40)), path),
        r"asks for collections\.Counter",
    ),
    "two_tables.pth": (lambda path, _: two_tables(path), "its end does not say where its table is"),
    "case.pth": (lambda path, _: two_cases(path), "has a name twice"),
    "average.pth": (
        lambda path, _: torch.save({"model": state(), "ema": {"weights": {1: torch.zeros(1)}}}, path),
        "holds no state dict",
    ),
}


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
    monkeypatch.setattr("ovrs.modeling.pickle_descriptions.MOST_OPERATIONS", 400)
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
