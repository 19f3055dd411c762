import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from ovrs.data.preparation.archives import MIB, Limits
from ovrs.data.preparation.source import Source, unique
from ovrs.errors import DataError


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def tarred(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for info, data in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def opened(tmp_path):
    """Opens the source folder; temporary files go beside it."""
    sources = []

    def opening(**options):
        sources.append(Source(tmp_path / "downloads", tmp_path / "scratch", **options))
        return sources[-1]

    (tmp_path / "downloads").mkdir()
    yield opening
    for source in sources:
        source.close()


@pytest.fixture
def folder(tmp_path, opened):
    return tmp_path / "downloads"


def test_folders_and_archives_are_one_tree(folder, opened):
    zipped(folder / "a/one.zip", {"images/P1.png": b"one"})
    (folder / "images").mkdir()
    (folder / "images/P2.png").write_bytes(b"two")
    found = {member.path: member.read() for member in opened().members}
    assert found == {"a/one.zip/images/P1.png": b"one", "images/P2.png": b"two"}


@pytest.mark.parametrize(("name", "mode"), [("t.tar", "w"), ("t.tar.gz", "w:gz"), ("t.tgz", "w:gz"), ("t.tar.xz", "w:xz")])
def test_tars_are_read_compressed_or_not(folder, opened, name, mode):
    tarred(folder / name, [("./x/1.txt", b"first"), ("x/2.txt", b"second")], mode)
    source = opened()
    assert [(member.path, member.read()) for member in reversed(source.members)] == [
        (f"{name}/x/2.txt", b"second"),
        (f"{name}/x/1.txt", b"first"),
    ]


def test_an_archive_in_an_archive_is_opened_and_leaves_nothing_behind(folder, opened, tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"b.txt": b"deep"}).read_bytes()
    zipped(folder / "outer.zip", {"x/inner.zip": inner})
    source = opened()
    (member,) = source.members
    assert member.path == "outer.zip/x/inner.zip/b.txt" and member.read() == b"deep"
    assert member.archive == folder / "outer.zip"
    source.close()
    assert not list((tmp_path / "scratch").iterdir())


def test_litter_of_desktops_is_not_seen(folder, opened):
    zipped(folder / "a.zip", {"__MACOSX/images/._P1.png": b"", "images/.DS_Store": b"", "images\\P1.png": b"1"})
    assert [member.path for member in opened().members] == ["a.zip/images/P1.png"]


def test_patterns_match_whole_paths_whatever_the_case(folder, opened):
    zipped(folder / "a.zip", {"Images/P1.PNG": b"1", "Images/P1_mask.png": b"2"})
    assert [member.name for member in opened().select(r".*/images/P\d+\.png")] == ["P1.PNG"]


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd", "a/../../b.png", "..\\out.png", "C:\\x.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_are_refused(folder, opened, tmp_path, name, kind):
    if kind == "zip":
        zipped(folder / "bad.zip", {"good.png": b"1", name: b"2"})
    else:
        tarred(folder / "bad.tar", [("good.png", b"1"), (name, b"2")])
    with pytest.raises(DataError, match=f"bad.{kind}: member .* leads out of the archive") as caught:
        opened()
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(folder, opened, kind):
    info = tarfile.TarInfo("images/P1.png")
    info.type, info.linkname = kind, "/etc/passwd"
    tarred(folder / "bad.tar.gz", [(info, b"")], "w:gz")
    with pytest.raises(DataError, match=r"bad.tar.gz: member 'images/P1.png' is a link"):
        opened()


def test_a_link_in_a_zip_is_refused(folder, opened):
    info = zipfile.ZipInfo("images/P1.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"bad.zip: member 'images/P1.png' is a link"):
        opened()


def test_a_bomb_is_refused_before_it_is_unpacked(folder, opened):
    zipped(folder / "bomb.zip", {"zeros.png": bytes(17 * MIB)})
    with pytest.raises(DataError, match=r"bomb.zip: member 'zeros.png' unpacks to over 100 times its packed size"):
        opened()


def test_a_bomb_of_many_small_members_is_refused(folder, opened):
    zipped(folder / "bomb.zip", {f"{n}.png": bytes(2 * MIB) for n in range(9)})
    with pytest.raises(DataError, match=r"bomb.zip: unpacks to 18,874,368 bytes from"):
        opened()


def test_a_compressed_tar_that_does_not_end_is_refused(folder, opened, tmp_path):
    tarred(folder / "bomb.tar.gz", [("zeros.png", bytes(17 * MIB))], "w:gz")
    with pytest.raises(DataError, match=r"bomb.tar.gz: unpacks to over 100 times"):
        opened()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_small_plain_label_map_is_no_bomb(folder, opened):
    zipped(folder / "masks.zip", {"mask.tif": bytes(MIB)})
    assert opened().members[0].read() == bytes(MIB)


@pytest.mark.parametrize(
    ("limits", "match"), [(Limits(member=9), "more than the 9 allowed"), (Limits(total=15), "unpacks to 20")]
)
def test_sizes_over_the_caps_are_refused(folder, opened, limits, match):
    zipped(folder / "a.zip", {"a": b"0123456789", "b": b"0123456789"})
    with pytest.raises(DataError, match=match):
        opened(limits=limits)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_zip_says_to_download_it_again(folder, opened, share):
    path = zipped(folder / "a.zip", {"a.png": np.random.default_rng(0).bytes(5000)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"a.zip is damaged or not complete .*download the archive again"):
        opened()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_tar_says_to_download_it_again(folder, opened, mode):
    path = tarred(folder / ("a.tar" + ".gz" * (mode != "w")), [("a.png", np.random.default_rng(0).bytes(50_000))], mode)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(DataError, match=r"a.tar.* is damaged or not complete .*download the archive again"):
        opened().members[0].read()


def test_a_changed_byte_is_noticed_where_it_is_read(folder, opened):
    path = zipped(folder / "a.zip", {"a.png": b"0123456789" * 9, "b.png": b"fine"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    source = opened()
    assert source.select(".*/b.png")[0].read() == b"fine"
    with pytest.raises(DataError, match=r"a.zip: member 'a.png' is damaged .*CRC"):
        source.select(".*/a.png")[0].read()


def test_a_locked_member_says_so(folder, opened):
    path = zipped(folder / "a.zip", {"a.png": b"secret"})
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="locked with a password; unlock the archive first"):
        opened()


def test_a_name_that_is_there_twice_is_refused(folder, opened):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        archive.writestr("a.png", b"2")
    with pytest.raises(DataError, match="member 'a.png' is there twice"):
        opened()


def test_packed_and_unpacked_files_are_taken_once_unless_they_differ(folder, opened):
    zipped(folder / "a.zip", {"P1.png": b"one"})
    (folder / "P1.png").write_bytes(b"one")
    assert len(unique(opened().members, lambda member: member.stem)) == 1
    (folder / "P1.png").write_bytes(b"another")
    with pytest.raises(DataError, match="are different files of one name; keep one"):
        unique(opened().members, lambda member: member.stem)


@pytest.mark.parametrize("content", [None, b"text"])
def test_a_source_that_is_none_says_what_to_give(tmp_path, content):
    root = tmp_path / "nothing"
    if content:
        root.write_bytes(content)
    with pytest.raises(
        DataError, match="no such folder; give --source" if content is None else "neither a folder nor an archive"
    ):
        Source(root, tmp_path)


def test_one_archive_can_be_the_source(tmp_path):
    with Source(zipped(tmp_path / "a.zip", {"x.png": b"1"}), tmp_path) as source:
        assert [member.path for member in source.members] == ["a.zip/x.png"]


def test_only_archives_that_are_used_are_described(folder, opened):
    zipped(folder / "a.zip", {"x.png": b"1"})
    zipped(folder / "other.zip", {"y.txt": b"2"})
    (folder / "z.png").write_bytes(b"333")
    source = opened()
    described = source.describe(source.select(r".*\.png"))
    assert [entry["name"] for entry in described] == ["a.zip", "loose files"] and described[1]["bytes"] == 3
    taken_over = source.describe(source.select(r".*\.png"), [described[0] | {"sha256": "known"}])
    assert taken_over[0]["sha256"] == "known" and len(described[0]["sha256"]) == 64
