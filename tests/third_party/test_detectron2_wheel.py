"""The recipe of the Detectron2 wheel: what it refuses, that it repeats itself, and what its result can do."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from detectron2_wheel import archive, backend, recipe
from detectron2_wheel.recipe import Patch, RecipeError, SourceRelease

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **attributes: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[..., Path]:
    def make(*members: Member) -> Path:
        path = tmp_path / "sources.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        return path

    return make


@pytest.fixture(scope="module")
def source_archive() -> Path:
    path = archive.kept_archive()
    if not path.is_file():
        pytest.skip(f"needs the source archive that set-up keeps: no file {path} ({archive.ARCHIVE_VARIABLE} can name one)")
    return path


@pytest.fixture(scope="module")
def wheel(source_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return folder / backend.build_wheel(str(folder))


@pytest.fixture
def stand_in() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detectron2._C", recipe.STAND_IN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestArchive:
    def test_a_wrong_hash_is_refused_before_anything_is_unpacked(
        self, make_archive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forged = make_archive(member("pb1-detectron2-0.6/setup.py", b"raise SystemExit"))
        monkeypatch.setenv(archive.ARCHIVE_VARIABLE, str(forged))
        opened: list[object] = []
        monkeypatch.setattr(tarfile, "open", lambda *arguments, **options: opened.append(arguments))
        with pytest.raises(RecipeError, match="nothing was unpacked") as error:
            backend.build_wheel(str(tmp_path / "out"))
        assert str(forged) in str(error.value) and recipe.SOURCE.sha256 in str(error.value)
        assert not opened
        assert not (tmp_path / "out").exists()

    def test_a_download_with_a_wrong_hash_is_neither_used_nor_kept(
        self, make_archive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(archive.ARCHIVE_VARIABLE, raising=False)
        monkeypatch.setenv(archive.CACHE_VARIABLE, str(tmp_path / "cache"))
        monkeypatch.setattr(archive, "download", lambda scratch: make_archive(member("x", b"other")))
        with pytest.raises(RecipeError, match="SHA-256"):
            archive.locate(tmp_path)
        assert not (tmp_path / "cache").exists()

    def test_a_good_download_is_kept_and_used_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(archive.ARCHIVE_VARIABLE, raising=False)
        monkeypatch.setenv(archive.CACHE_VARIABLE, str(tmp_path / "cache"))
        monkeypatch.setattr(archive, "verify", lambda path: None)
        downloaded = tmp_path / "downloaded.tar.gz"
        downloaded.write_bytes(b"sources")
        downloads: list[Path] = []
        monkeypatch.setattr(archive, "download", lambda scratch: downloads.append(scratch) or downloaded)
        assert backend.get_requires_for_build_wheel() == ["pip>=23.2"]
        first, second = archive.locate(tmp_path), archive.locate(tmp_path)
        assert first == second == tmp_path / "cache" / recipe.SOURCE.filename
        assert first.read_bytes() == b"sources"
        assert list(first.parent.iterdir()) == [first]
        assert len(downloads) == 1
        assert backend.get_requires_for_build_wheel() == []

    def test_an_unwritable_cache_does_not_stop_the_build(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "cache").write_text("a file where the folder should be")
        downloaded = tmp_path / "downloaded.tar.gz"
        downloaded.write_bytes(b"sources")
        assert archive.keep(downloaded, tmp_path / "cache" / "kept.tar.gz") == downloaded
        assert "not kept" in capsys.readouterr().err

    def test_a_named_archive_that_is_missing_is_not_replaced_by_a_download(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(archive.ARCHIVE_VARIABLE, str(tmp_path / "missing.tar.gz"))
        monkeypatch.setattr(archive, "download", lambda scratch: pytest.fail("must not download"))
        with pytest.raises(RecipeError, match=r"missing\.tar\.gz"):
            archive.locate(tmp_path)

    # Asked of the metadata: looking for the module itself makes setuptools give up its distutils for the whole process.
    @pytest.mark.skipif(not any(importlib.metadata.distributions(name="pip")), reason="this environment has no pip")
    def test_pip_downloads_by_hash_without_running_the_sources(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A real download of a release made here, from a folder instead of the index; its setup.py must not run."""
        releases, evidence = tmp_path / "releases", tmp_path / "setup_was_run"
        releases.mkdir()
        path = releases / "pb1-detectron2-0.6.tar.gz"
        info, setup = member("pb1-detectron2-0.6/setup.py", f"open({str(evidence)!r}, 'w')".encode())
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(info, io.BytesIO(setup))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(releases))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        source = SourceRelease("pb1-detectron2", "0.6", digest, path.name)
        assert archive.download(tmp_path / "scratch", source).read_bytes() == path.read_bytes()
        assert not evidence.exists()
        other = SourceRelease("pb1-detectron2", "0.6", "0" * 64, path.name)
        with pytest.raises(RecipeError, match=archive.ARCHIVE_VARIABLE):
            archive.download(tmp_path / "again", other)
        assert not evidence.exists()

    @pytest.mark.parametrize(
        "evil",
        [
            member("../escaped.py", b"x"),
            member("top/../../escaped.py", b"x"),
            member("top/link", type=tarfile.SYMTYPE, linkname="../../escaped.py"),
            member("top/link", type=tarfile.LNKTYPE, linkname="../escaped.py"),
            member("top/device", type=tarfile.CHRTYPE),
        ],
        ids=["parent", "hidden parent", "symbolic link", "hard link", "device"],
    )
    def test_members_that_leave_the_folder_are_refused(
        self, make_archive: Callable[..., Path], tmp_path: Path, evil: Member
    ) -> None:
        with pytest.raises(RecipeError, match="refused to unpack"):
            archive.unpack(make_archive(member("top/a.py", b"a"), evil), tmp_path / "target")
        assert not (tmp_path / "escaped.py").exists()

    def test_an_archive_without_a_single_top_folder_is_refused(self, make_archive: Callable[..., Path], tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="2 top entries"):
            archive.unpack(make_archive(member("a/x.py"), member("b/x.py")), tmp_path / "target")


class TestRecipe:
    FILES: ClassVar = {"a.py": b"np.int(1) + np.int64(1)", "b/c.py": b"np.bool, np.float32", "d.txt": b"np.int"}

    def test_a_patch_changes_python_files_only_and_counts_over_all_of_them(self) -> None:
        patched = recipe.apply_patches(self.FILES, (Patch("reason", r"\bnp\.(int|bool)\b", r"\1", places=2),))
        assert patched == {"a.py": b"int(1) + np.int64(1)", "b/c.py": b"bool, np.float32", "d.txt": b"np.int"}
        assert self.FILES["a.py"].startswith(b"np.int(")

    @pytest.mark.parametrize("places", [0, 1, 3])
    def test_another_number_of_places_is_an_error_that_names_both(self, places: int) -> None:
        with pytest.raises(RecipeError, match=f"matched 2 places, not {places}"):
            recipe.apply_patches(self.FILES, (Patch("reason", r"\bnp\.(int|bool)\b", r"\1", places),))

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RecipeError, match="'detectron2'"):
            recipe.wheel_files(tmp_path)


class TestWheel:
    def test_two_builds_are_identical(self, wheel: Path, tmp_path: Path) -> None:
        # The second in a process of its own, with another seed for hashing and another umask: neither may show.
        script = f"import os, sys; os.umask(0o077); sys.path.insert(0, {str(Path(backend.__file__).parents[1])!r})\n"
        script += f"from detectron2_wheel.backend import build_wheel; print(build_wheel({str(tmp_path)!r}))"
        run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        second = tmp_path / run.stdout.strip()
        assert second.name == wheel.name == "detectron2-0.6-py3-none-any.whl"
        assert second.read_bytes() == wheel.read_bytes()

    def test_record_lists_every_file_with_its_hash(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archived:
            record = f"{backend.DIST_INFO}/RECORD"
            lines = csv.reader(archived.read(record).decode().splitlines())
            rows = {name: (digest, size) for name, digest, size in lines}
            assert list(rows) == archived.namelist()
            assert rows.pop(record) == ("", "")
            for name, (digest, size) in rows.items():
                content = archived.read(name)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={expected}", str(len(content)))

    def test_it_holds_the_package_its_projects_configs_license_and_stand_in(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archived:
            names = set(archived.namelist())
            assert archived.read("detectron2/_C.py") == recipe.STAND_IN.read_bytes()
        wanted = ["__init__.py", "config/config.py", "projects/point_rend/__init__.py", "projects/deeplab/__init__.py"]
        wanted += ["projects/panoptic_deeplab/__init__.py", "model_zoo/configs/Base-RCNN-FPN.yaml"]
        assert {f"detectron2/{name}" for name in wanted} <= names
        assert f"{backend.DIST_INFO}/licenses/LICENSE" in names

    def test_every_python_file_compiles_without_what_the_patches_remove(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archived:
            for name in (name for name in archived.namelist() if name.endswith(".py")):
                source = archived.read(name)
                compile(source, name, "exec")
                assert b"pkg_resources" not in source, name

    def test_the_metadata_hook_says_what_the_wheel_says(self, wheel: Path, tmp_path: Path) -> None:
        folder = tmp_path / backend.prepare_metadata_for_build_wheel(str(tmp_path))
        with zipfile.ZipFile(wheel) as archived:
            for name in ("METADATA", "WHEEL"):
                assert (folder / name).read_bytes() == archived.read(f"{backend.DIST_INFO}/{name}")
        metadata = Parser().parsestr((folder / "METADATA").read_text("utf-8"))
        assert (metadata["Name"], metadata["Version"]) == ("detectron2", "0.6")
        requirements = metadata.get_all("Requires-Dist", [])
        assert "iopath>=0.1.7" in requirements
        assert not any(requirement.startswith("black") for requirement in requirements)


class TestStandIn:
    def test_it_answers_the_environment_report(self, stand_in: ModuleType) -> None:
        assert stand_in.has_cuda() is False
        assert "pure-Python" in stand_in.get_compiler_version()
        assert "pure-Python" in stand_in.get_cuda_version()

    def test_a_compiled_operator_is_an_error_that_says_why(self, stand_in: ModuleType) -> None:
        with pytest.raises(AttributeError, match="'nms_rotated'.*without compiled operators"):
            stand_in.nms_rotated  # noqa: B018

    def test_asking_whether_a_name_is_there_stays_possible(self, stand_in: ModuleType) -> None:
        assert not hasattr(stand_in, "COCOevalAccumulate")
        assert not hasattr(stand_in, "__path__")
        assert getattr(stand_in, "__wrapped__", None) is None


class TestInstalled:
    """The Detectron2 that is installed, ours or an official one, has what ovrs needs: features are asked for, no version."""

    def test_it_was_the_recipe_that_built_it_or_it_is_an_official_build(self) -> None:
        from detectron2 import _C

        assert all(callable(getattr(_C, name)) for name in ("get_compiler_version", "get_cuda_version", "has_cuda"))

    def test_configs_registries_and_configurable_work(self) -> None:
        import torch
        from detectron2.config import configurable, get_cfg
        from detectron2.modeling import META_ARCH_REGISTRY, build_model

        class WheelTestProbe(torch.nn.Module):
            @configurable
            def __init__(self, *, device: str) -> None:
                super().__init__()
                self.given = device

            @classmethod
            def from_config(cls, cfg: object) -> dict[str, str]:
                return {"device": cfg.MODEL.DEVICE}  # type: ignore[attr-defined]

        META_ARCH_REGISTRY.register(WheelTestProbe)
        cfg = get_cfg()
        cfg.merge_from_list(["MODEL.META_ARCHITECTURE", "WheelTestProbe", "MODEL.DEVICE", "cpu"])
        assert build_model(cfg).given == "cpu"
        assert WheelTestProbe(device="cpu").given == "cpu"

    def test_patched_places_run_on_current_libraries(self) -> None:
        import numpy as np
        from detectron2 import model_zoo
        from detectron2.data import Metadata
        from detectron2.data.transforms import ExtentTransform
        from detectron2.utils.visualizer import Visualizer

        assert Path(model_zoo.get_config_file("Base-RCNN-FPN.yaml")).is_file()
        image = np.zeros((8, 8, 3), np.uint8)
        assert ExtentTransform((0, 0, 8, 8), (4, 4)).apply_image(image).shape == (4, 4, 3)
        metadata = Metadata(stuff_classes=["water"], stuff_colors=[(0, 0, 255)])
        drawn = Visualizer(image, metadata).draw_sem_seg(np.zeros((8, 8), np.int64))
        assert drawn.get_image().shape == (8, 8, 3)

    def test_the_environment_report_runs(self) -> None:
        from detectron2.utils.collect_env import collect_env_info

        assert "detectron2" in collect_env_info()


def test_no_scratch_folder_is_left_behind(source_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    backend.build_wheel(str(tmp_path))
    assert not list(scratch.iterdir())
