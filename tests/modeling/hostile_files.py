"""Hostile and broken weights files: what writes each, and what the message of its refusal says."""

import builtins
import codecs
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import Counter

import torch
from safetensors.torch import save_file
from torch import nn

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
