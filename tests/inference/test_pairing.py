"""Which files are images and which are their SAR partners, where both lie in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from pair_model import decibels, optical, write
from rasterio.enums import ColorInterp
from rasterio.rio.main import main_group

from ovrs.data.sar.speckle import Speckle
from ovrs.errors import InputError, OvrsError
from ovrs.inference.pairing import with_partners
from ovrs.inference.reading import ReadOptions
from ovrs.inference.sar_options import SarOptions
from ovrs.inference.sources import list_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pairs in one folder: images are ``_s2``, SAR is ``_s1`` of eight bits."""
    for name in ("port", "town"):
        write(tmp_path / f"{name}_s2.tif", optical())
        write(tmp_path / f"{name}_s1.tif", (decibels() + 60).astype(np.uint8))
    return tmp_path


def paired(inputs: Sequence[str | Path], sar: Sequence[str | Path], **how: object) -> dict[str, str]:
    """The name of each image's partner."""
    options = ReadOptions(sar=SarOptions(**how))  # type: ignore[arg-type]
    found = with_partners(list_sources([str(each) for each in inputs], options), [str(each) for each in sar], options)
    assert not any(source.refused for source in found), found
    return {source.path.name: source.sar.name for source in found if source.sar is not None}


PAIRS = {"port_s2.tif": "port_s1.tif", "town_s2.tif": "town_s1.tif"}


def test_an_image_in_the_folder_of_its_partner_is_not_its_own(folder: Path) -> None:
    assert paired([folder / "town_s2.tif"], [folder]) == {"town_s2.tif": "town_s1.tif"}
    assert paired([folder / "*_s2.tif"], [folder]) == PAIRS


def test_what_is_named_as_sar_is_no_image(folder: Path) -> None:
    assert paired([folder / "*.tif"], [folder / "*_s1.tif"]) == PAIRS
    assert paired([folder / "*.tif"], [folder / "port_s1.tif", folder / "town_s1.tif"]) == PAIRS
    assert paired([folder / "town_s2.tif"], [folder / "town_*.tif"]) == {"town_s2.tif": "town_s1.tif"}, "named by itself"


@pytest.mark.parametrize(("inputs", "sar"), [("*.tif", "."), ("*.tif", "*.tif"), ("town_s2.tif", "town_s2.tif")])
def test_the_same_files_as_both_are_refused(folder: Path, inputs: str, sar: str) -> None:
    with pytest.raises(InputError, match=r"is named as an image .* and as SAR .* name the files of either apart"):
        paired([folder / inputs], [folder / sar])


def test_one_file_may_hold_both_in_bands_of_its_own(tmp_path: Path) -> None:
    stack = write(tmp_path / "stack.tif", np.concatenate([optical(), (decibels() + 60).astype(np.uint8)]))
    with pytest.raises(InputError, match=r"stack.tif: band 4 is declared to be the image's transparency.*colorinterp_4"):
        paired([stack], [stack], bands=(4,))  # GDAL's own idea of a fourth band of eight bits
    with rasterio.open(stack, "r+") as file:
        file.colorinterp = (*file.colorinterp[:3], ColorInterp.undefined)
    assert paired([stack], [stack], bands=(4,)) == {"stack.tif": "stack.tif"}
    with pytest.raises(InputError, match="named as an image"):
        paired([stack], [stack], bands=(1,))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"bands": (3,)}, "has no band 3; it has 1"),
        ({"speckle": Speckle("lee")}, "name is 'lee'; it needs to know what values are"),
        ({"scale": "db", "speckle": Speckle("lee"), "bands": (2,)}, "has no band 2"),
    ],
)
def test_how_a_partner_is_read_is_checked_with_the_grid(folder: Path, how: dict[str, Any], said: str) -> None:
    """Before a model is loaded, by the partner's name."""
    with pytest.raises(OvrsError, match=f"town_s1.tif: .*{said}"):
        paired([folder / "town_s2.tif"], [folder / "town_s1.tif"], **how)


def test_a_scale_that_cannot_be_told_is_asked_for_with_the_grid(folder: Path) -> None:
    write(folder / "town_s1.tif", np.float32(10) ** (decibels() / 10))
    with pytest.raises(InputError, match=r"town_s1.tif: SAR values .* may be of several scales"):
        paired([folder / "town_s2.tif"], [folder / "town_s1.tif"])
    assert paired([folder / "town_s2.tif"], [folder / "town_s1.tif"], scale="intensity") == {"town_s2.tif": "town_s1.tif"}


def test_polarisations_in_files_of_their_own_are_to_be_stacked(tmp_path: Path) -> None:
    """As the message says, and then they are one partner."""
    image, files = write(tmp_path / "town.tif", optical()), [tmp_path / "town_vv.tif", tmp_path / "town_vh.tif"]
    for number, file in enumerate(files):
        write(file, decibels() - number)
    with pytest.raises(InputError, match=r"or stack them .*: rio stack town_vv.tif town_vh.tif -o town_sar.tif"):
        paired([image], files)
    stacked = tmp_path / "town_sar.tif"
    told = CliRunner().invoke(main_group, ["stack", *map(str, files), "-o", str(stacked)])
    assert told.exit_code == 0, told.output
    assert paired([image], [stacked]) == {"town.tif": "town_sar.tif"}
    with rasterio.open(stacked) as file:
        assert file.count == 2 and (file.read(2) == file.read(1) - 1).all()
