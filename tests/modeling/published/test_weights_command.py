"""python -m ovrs.weights: list, fetch and verify."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from hub import CLIENT, Hub
from safetensors.torch import save

from ovrs import weights
from ovrs.modeling import weights_files
from ovrs.modeling.published import download
from ovrs.modeling.published.table import PUBLISHED

CONTENT = save({"a": torch.zeros(3), "b": torch.ones(2)})
NAME = "dinov2/ViT-B-14"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OVRS_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("OVRS_OFFLINE", raising=False)
    monkeypatch.setattr(download, "Client", lambda: CLIENT)
    return tmp_path


@pytest.fixture
def hub(cache, monkeypatch):
    with Hub(CONTENT, stated=hashlib.sha256(CONTENT).hexdigest()) as running:
        monkeypatch.setitem(PUBLISHED, NAME, replace(PUBLISHED[NAME], address=running.address("/linked")))
        yield running


def run(capsys, *arguments):
    code = weights.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_list_shows_every_row_and_what_is_here(cache, capsys):
    (cache / PUBLISHED["sam/ViT-L"].file).write_bytes(CONTENT)
    code, out, _ = run(capsys, "list")
    assert code == 0 and [name for name in PUBLISHED if name not in out] == []
    (row,) = [line for line in out.splitlines() if line.startswith("sam/ViT-L ")]
    assert row.split() == ["sam/ViT-L", "guidance", "sam_vit_l", "1250", "MB", "Apache-2.0", "yes"]


def test_list_takes_words_that_must_all_be_in_a_row(cache, capsys):
    _, out, _ = run(capsys, "list", "DINOv3", "patch16", "large", "--json")
    assert [row["name"] for row in json.loads(out)] == ["dinov3/ViT-L-16", "dinov3/ViT-L-16-satellite"]
    assert json.loads(out)[1]["gsd"] == 0.6 and json.loads(out)[1]["path"] is None


def test_fetch_prints_the_path_and_verify_says_what_was_compared(hub, cache, capsys):
    code, out, _ = run(capsys, "fetch", NAME)
    assert code == 0 and out.strip() == str(cache / PUBLISHED[NAME].file)
    code, out, _ = run(capsys, "verify", NAME)
    assert (code, out) == (0, f"{NAME}: sha256 as the hub has it; readable, 2 tensors\n")
    assert run(capsys, "verify")[1] == out and run(capsys, "verify", str(cache / PUBLISHED[NAME].file))[1] == out


@pytest.mark.parametrize("offline", ["--offline", "OVRS_OFFLINE"])
def test_offline_fetch_fails_with_what_to_put_where(hub, capsys, monkeypatch, offline):
    if offline == "OVRS_OFFLINE":
        monkeypatch.setenv("OVRS_OFFLINE", "1")
    code, out, err = run(capsys, "fetch", NAME, *(["--offline"] if offline == "--offline" else []))
    assert (code, out) == (2, "") and err.startswith("error: dinov2/ViT-B-14 is not in") and "put http" in err
    assert hub.asked == []


def test_fetch_goes_on_after_a_failure_but_not_with_a_typo(hub, cache, capsys, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "sam/ViT-B", replace(PUBLISHED["sam/ViT-B"], address=hub.address("/elsewhere")))
    code, out, err = run(capsys, "fetch", "sam/ViT-B", NAME)
    assert code == 2 and "error: sam/ViT-B" in err and out.strip() == str(cache / PUBLISHED[NAME].file)
    code, out, err = run(capsys, "fetch", NAME, "sam/ViT-Q")
    assert code == 2 and out == "" and "did you mean" in err


def test_cache_may_be_another_folder(hub, tmp_path, capsys):
    run(capsys, "fetch", NAME, "--cache", str(tmp_path / "other"))
    assert (tmp_path / "other" / PUBLISHED[NAME].file).read_bytes() == CONTENT


def test_verify_does_not_read_a_file_whose_hash_is_wrong(hub, cache, capsys, monkeypatch):
    run(capsys, "fetch", NAME)
    (cache / PUBLISHED[NAME].file).write_bytes(CONTENT + b"x")
    monkeypatch.setattr(weights_files, "read_state_dict", lambda path: pytest.fail("was parsed"))
    code, _, err = run(capsys, "verify", NAME)
    assert code == 2 and "not dinov2/ViT-B-14 as published" in err


def test_verify_says_when_no_hash_is_known_and_refuses_what_cannot_be_read(cache, capsys):
    known, own, broken = cache / PUBLISHED["remoteclip/ViT-B-32"].file, cache / "own.safetensors", cache / "broken.safetensors"
    torch.save({"a": torch.zeros(1)}, known)
    own.write_bytes(CONTENT)
    broken.write_bytes(CONTENT[:20])
    code, out, err = run(capsys, "verify", "remoteclip/ViT-B-32", str(own), str(broken), "sam/ViT-H")
    assert code == 2
    assert out.splitlines() == [
        "remoteclip/ViT-B-32: nobody states a hash of it, none compared; readable, 1 tensors",
        f"{own}: not a file of the table, no hash compared; readable, 2 tensors",
    ]
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "error"] and "sam/ViT-H: not in" in err


def test_a_name_too_long_for_a_file_is_an_error_and_no_traceback(cache, capsys):
    code, _, err = run(capsys, "verify", "x" * 5000)
    assert code == 2 and err.startswith("error: ") and "python -m ovrs.weights list" in err


def test_a_link_keeps_the_name_that_is_asked_for(cache, tmp_path, capsys):
    elsewhere = tmp_path / "0b3195"
    elsewhere.write_bytes(CONTENT)
    (cache / PUBLISHED["sam/ViT-L"].file).symlink_to(elsewhere)
    code, _, err = run(capsys, "verify", str(cache / PUBLISHED["sam/ViT-L"].file))
    assert code == 2 and "not sam/ViT-L as published" in err


def test_verify_of_an_empty_cache_says_so(cache, capsys):
    assert run(capsys, "verify") == (0, f"{cache}: nothing of the table is here\n", "")


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        weights.main(["--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0 and "OVRS_CACHE" in out and "MODEL.GUIDANCE.WEIGHTS sam/ViT-L" in out


def test_an_interruption_is_no_traceback(hub, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "fetch", interrupted)
    code, _, err = run(capsys, "fetch", NAME)
    assert code == 130 and err == "interrupted; what came is kept, run it again to go on\n"
