"""Downloads from a host on this machine: broken off, gone on with, wrong, refused, and by two processes at once."""

import hashlib
import io
import multiprocessing
import os
import shutil
import threading
import zipfile
from dataclasses import replace

import pytest
from hub import CLIENT, CONTENT, SHA256, Hub, entry

from ovrs.errors import OutputError, WeightsError
from ovrs.modeling.published.download import fetch
from ovrs.modeling.published.transfer import Client


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def hub():
    with Hub(CONTENT) as running:
        yield running


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_with_its_check_noted_and_nothing_else_left(hub, tmp_path):
    path = fetch(entry(hub.address()), tmp_path, client=CLIENT)
    assert path == tmp_path / "model.pth" and path.read_bytes() == CONTENT
    assert names(tmp_path) == [".model.pth.checked.json", "model.pth"]


def test_what_is_here_is_not_asked_for_again(hub, tmp_path):
    fetch(entry(hub.address()), tmp_path, client=CLIENT)
    fetch(entry(hub.address()), tmp_path, client=CLIENT)
    assert len(hub.asked) == 1


def test_a_transfer_that_breaks_off_is_gone_on_with_at_the_next_call(hub, tmp_path):
    hub.breaks_after = [2_000_000]
    with pytest.raises(WeightsError, match=r"broken off after 2\.0 of 3\.1 MB; run it again to go on"):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)
    assert "model.pth" not in names(tmp_path) and (tmp_path / "model.pth.part").stat().st_size == 2_000_000
    assert fetch(entry(hub.address()), tmp_path, client=CLIENT).read_bytes() == CONTENT
    assert hub.asked[1][1]["Range"] == "bytes=2000000-"


def test_a_connection_that_breaks_off_is_taken_up_again_by_itself(hub, tmp_path):
    hub.breaks_after = [1_000_000, 1_000_000]
    path = fetch(entry(hub.address()), tmp_path, client=replace(CLIENT, tries=3))
    assert path.read_bytes() == CONTENT and len(hub.asked) == 3


@pytest.mark.parametrize("change", [{"ranges": False}, {"tag": False}])
def test_a_host_without_ranges_or_versions_gives_the_file_anew(hub, tmp_path, change):
    for name, value in change.items():
        setattr(hub, name, value)
    hub.breaks_after = [2_000_000]
    with pytest.raises(WeightsError):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)
    assert fetch(entry(hub.address()), tmp_path, client=CLIENT).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_put_together_from_two(hub, tmp_path):
    hub.breaks_after = [2_000_000]
    with pytest.raises(WeightsError):
        fetch(entry(hub.address(), sha256=""), tmp_path, client=CLIENT)
    hub.content = bytes(reversed(CONTENT))
    assert fetch(entry(hub.address(), sha256=""), tmp_path, client=CLIENT).read_bytes() == hub.content


def test_nor_where_the_host_gives_parts_of_any_version(hub, tmp_path):
    hub.heeds, hub.breaks_after = False, [2_000_000]
    with pytest.raises(WeightsError):
        fetch(entry(hub.address(), sha256=""), tmp_path, client=CLIENT)
    hub.content = bytes(reversed(CONTENT))
    assert fetch(entry(hub.address(), sha256=""), tmp_path, client=replace(CLIENT, tries=2)).read_bytes() == hub.content


def test_nor_where_it_does_not_say_which_version_it_gives(hub, tmp_path):
    hub.heeds, hub.tag, hub.breaks_after = False, False, [2_000_000]
    with pytest.raises(WeightsError):
        fetch(entry(hub.address(), sha256=""), tmp_path, client=CLIENT)
    hub.content = bytes(reversed(CONTENT))
    assert fetch(entry(hub.address(), sha256=""), tmp_path, client=CLIENT).read_bytes() == hub.content


def test_a_part_longer_than_the_file_is_dropped(hub, tmp_path):
    hub.breaks_after = [2_000_000]
    with pytest.raises(WeightsError):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)
    hub.status = 416
    with pytest.raises(WeightsError, match="has changed"):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)
    hub.status = 200
    assert fetch(entry(hub.address()), tmp_path, client=CLIENT).read_bytes() == CONTENT


def test_a_wrong_hash_names_both_and_leaves_no_file(hub, tmp_path):
    with pytest.raises(WeightsError, match=rf"sha256 {'0' * 64} expected, {SHA256} found.*By hand: put http"):
        fetch(entry(hub.address(), sha256="0" * 64), tmp_path, client=CLIENT)
    assert names(tmp_path) == []


def test_the_first_digits_of_an_md5_are_compared(hub, tmp_path):
    digits = hashlib.md5(CONTENT).hexdigest()[:6]
    assert fetch(entry(hub.address(), sha256="", md5=digits), tmp_path / "a", client=CLIENT).is_file()
    with pytest.raises(WeightsError, match="md5 ffffff expected"):
        fetch(entry(hub.address(), sha256="", md5="ffffff"), tmp_path / "b", client=CLIENT)


def test_the_hash_that_the_hub_states_is_compared_where_the_table_has_none(hub, tmp_path):
    hub.stated = SHA256
    row = entry(hub.address("/linked"), sha256="")
    path = fetch(row, tmp_path / "a", client=CLIENT)
    path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(WeightsError, match="not family/model as published"):  # it is remembered
        fetch(row, tmp_path / "a", client=CLIENT)
    hub.stated = "0" * 64
    with pytest.raises(WeightsError, match="expected"):
        fetch(row, tmp_path / "b", client=CLIENT)


def test_a_hash_that_another_host_states_counts_nothing(hub, tmp_path):
    hub.stated = "0" * 64
    fetch(entry(hub.address("/linked"), sha256=""), tmp_path, client=replace(CLIENT, token_hosts=()))


def test_the_token_goes_to_its_host_and_nowhere_else(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(entry(hub.address("/linked")), tmp_path / "a", client=CLIENT)
    fetch(entry(hub.address(host="localhost")), tmp_path / "b", client=CLIENT)
    assert [(path, headers.get("Authorization")) for path, headers in hub.asked] == [
        ("/linked", "Bearer secret"),
        ("/file", None),
        ("/file", None),
    ]


@pytest.mark.parametrize(("status", "message"), [(404, r"not there \(404\)"), (403, r"refused \(403\)"), (503, "answers 503")])
def test_a_refusal_says_what_to_do_by_hand(hub, tmp_path, status, message):
    hub.status = status
    with pytest.raises(WeightsError, match=rf"{message}.*By hand: put http.* into .* as model\.pth"):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)


def test_a_closed_file_of_the_hub_asks_for_the_licence_and_a_token(monkeypatch, tmp_path):
    import urllib.error
    import urllib.request

    def refuse(self, request, timeout):
        raise urllib.error.HTTPError(request.full_url, 401, "", None, None)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    with pytest.raises(WeightsError, match=r"accepted: do so at https://huggingface\.co/owner/model, .*HF_TOKEN"):
        fetch(entry("https://huggingface.co/owner/model/resolve/main/x.safetensors"), tmp_path)


def test_no_network_says_which_file_to_put_where(tmp_path):
    with Hub(b"") as closed:
        address = closed.address()
    with pytest.raises(WeightsError, match=rf"not reached.*By hand: put {address} into {tmp_path} as model\.pth"):
        fetch(entry(address), tmp_path, client=CLIENT)


def test_a_web_page_is_no_file(hub, tmp_path):
    hub.kind = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="answers with a web page"):
        fetch(entry(hub.address(), sha256=""), tmp_path, client=CLIENT)


def test_offline_nothing_is_asked(hub, tmp_path):
    with pytest.raises(WeightsError, match="nothing is downloaded offline; put http"):
        fetch(entry(hub.address()), tmp_path, offline=True, client=CLIENT)
    assert hub.asked == []


def test_only_https_by_default_and_no_other_scheme_by_a_redirect(hub, tmp_path):
    with pytest.raises(WeightsError, match="http:// is not allowed here, only https"):
        fetch(entry(hub.address()), tmp_path, client=Client())
    with pytest.raises(WeightsError, match="ftp"):
        fetch(entry(hub.address("/elsewhere")), tmp_path, client=CLIENT)
    with pytest.raises(WeightsError, match="file:// is not allowed"):
        fetch(entry("file:///etc/hostname"), tmp_path)


def test_a_file_much_larger_than_the_table_says_is_refused_before_it_comes(hub, tmp_path):
    with pytest.raises(WeightsError, match=r"3,072,000 bytes announced, at most 2,100,000 expected"):
        fetch(entry(hub.address(), megabytes=1), tmp_path, client=CLIENT)
    assert not (tmp_path / "model.pth.part").exists()


def test_a_disk_too_small_is_told_before_it_is_full(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(OutputError, match=r"3 MB are needed and 0 MB are free; make room, or set OVRS_CACHE"):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_disk_that_fills_up_keeps_what_came(hub, tmp_path, monkeypatch):
    from ovrs.modeling.published import transfer

    monkeypatch.setattr(transfer, "_written", lambda part, mode: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(OutputError, match=r"No space left.*run it again"):
        fetch(entry(hub.address()), tmp_path, client=CLIENT)


def test_a_folder_that_cannot_be_made_is_told(hub, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="set OVRS_CACHE"):
        fetch(entry(hub.address()), tmp_path / "taken", client=CLIENT)


def archive(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members:
            content.writestr(name, data)
    return packed.getvalue()


def test_of_a_zip_archive_the_one_file_is_kept(hub, tmp_path):
    hub.content = archive(("run/params.txt", "x"), ("run/epoch_20.pt", CONTENT), ("__MACOSX/run/._epoch_20.pt", "x"))
    row = entry(hub.address(), sha256="", member=".pt", file="model.pt")
    assert fetch(row, tmp_path, client=CLIENT).read_bytes() == CONTENT
    assert names(tmp_path) == ["model.pt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(("a.txt", "x")), "holds 0 files"),
        (archive(("a.pt", "x"), ("b.pt", "y")), "holds 2 files"),
        (b"x", "not readable"),
    ],
)
def test_an_archive_without_that_file_is_refused(hub, tmp_path, content, message):
    hub.content = content
    with pytest.raises(WeightsError, match=message):
        fetch(entry(hub.address(), sha256="", member=".pt"), tmp_path, client=CLIENT)
    assert not (tmp_path / "model.pth").exists()


def test_files_that_are_needed_beside_it_come_too_and_again_if_they_are_lost(hub, tmp_path):
    hub.others = {"/tokenizer.json": b"{}"}
    row = entry(hub.address(), file="siglip/model.pth", beside=("tokenizer.json",))
    fetch(row, tmp_path, client=CLIENT)
    assert names(tmp_path / "siglip") == [".model.pth.checked.json", "model.pth", "tokenizer.json"]
    (tmp_path / "siglip/tokenizer.json").unlink()
    fetch(row, tmp_path, client=CLIENT)
    assert [path for path, _ in hub.asked] == ["/file", "/tokenizer.json", "/tokenizer.json"]


def _fetch_there(address, folder, started):
    os.environ["no_proxy"] = "*"
    started.set()
    fetch(entry(address), folder, client=CLIENT)


def test_of_two_processes_one_downloads_and_both_have_the_file(hub, tmp_path):
    hub.hold = threading.Event()
    context = multiprocessing.get_context("fork")
    events = [context.Event() for _ in range(2)]
    workers = [context.Process(target=_fetch_there, args=(hub.address(), tmp_path, event)) for event in events]
    for worker, event in zip(workers, events, strict=True):
        worker.start()
        assert event.wait(60)
    hub.hold.set()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(hub.asked) == 1 and (tmp_path / "model.pth").read_bytes() == CONTENT
    assert names(tmp_path) == [".model.pth.checked.json", "model.pth"]
