"""An image and its SAR partner through the Python interface: what the model is given, what is refused, what is said."""

from __future__ import annotations

import sys
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from pair_model import PLACE, Pairs, decibels, optical, pair, write
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from ovrs import ReadOptions, SarOptions, Segmenter, Vocabulary
from ovrs.data.sar.grids import PairError
from ovrs.data.sar.speckle import Speckle
from ovrs.errors import DataError, InputError, OutputError, OvrsError
from ovrs.inference.pairing import with_partners
from ovrs.inference.partner import open_partner
from ovrs.inference.rasters import ImageInput
from ovrs.inference.resampling import Window, resampled
from ovrs.inference.sar_options import Modalities, guessed_scale, parse_sar_bands
from ovrs.inference.segmented import Place
from ovrs.inference.sentence import Sentence
from ovrs.inference.sources import list_sources
from ovrs.inference.tile_models import SystemTiles
from ovrs.inference.tiles import Tiling

sys.path.append(str(Path(__file__).parents[1] / "modeling"))

from described_parts import tiny_tsmnet

WORDS = "water, land"


def hints(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in log.records if record.message.startswith("hint: ")]


def read_options(**sar: Any) -> ReadOptions:
    return ReadOptions(sar=SarOptions(**sar))


def test_sar_sees_under_the_cloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, sar = pair(tmp_path)
    model = Pairs()
    result = Segmenter(model).segment(image, WORDS, sar=sar, description="a river town", output=tmp_path / "map.tif")
    assert model.shapes == {(4, torch.float32)} and not hints(caplog)
    assert (result.labels[:, :80] == 0).all() and (result.labels[:, 80:] == 1).all()
    with rasterio.open(tmp_path / "map.tif") as file:
        tags = file.tags()
    assert tags["SAR"] == "town.tif, band 1, db" and tags["DESCRIPTION"] == "a river town" and "LACKED" not in tags


def test_arrays_and_files_are_read_alike(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    segmenter, values = Segmenter(Pairs()), decibels()
    rgb = np.ascontiguousarray(optical().transpose(1, 2, 0))
    by_file = segmenter.segment(image, WORDS, sar=sar).confidence
    for given in (values, values[0], values.astype(np.float64)):
        assert np.array_equal(segmenter.segment(rgb, WORDS, sar=given).confidence, by_file)
    power = (10 ** (values / 20)).astype(np.float32)
    as_amplitude = segmenter.segment(rgb, WORDS, sar=power, options=read_options(scale="amplitude"))
    assert np.array_equal(as_amplitude.labels, segmenter.segment(rgb, WORDS, sar=values).labels)


def test_what_is_lacking_is_said_once_and_in_the_tags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, _ = pair(tmp_path)
    segmenter = Segmenter(Pairs())
    results = [segmenter.segment(image, WORDS) for _ in range(2)]
    assert dict(results[0].provenance)["LACKED"] == "SAR and a description"
    assert segmenter.model.shapes == {(3, torch.uint8)}  # type: ignore[attr-defined]
    assert len(hints(caplog)) == 2 and "none was given" in hints(caplog)[0] and "nothing was said" in hints(caplog)[1]
    assert (results[0].labels[48:, :80] == 0).all() and (results[0].labels[:48] == results[0].labels[0, 0]).all()


def test_a_model_that_reads_neither_says_so_once_and_answers_as_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Blind(Pairs):
        reads_sar = reads_descriptions = False

    image, sar = pair(tmp_path)
    segmenter = Segmenter(Blind())
    plain = segmenter.segment(image, WORDS)
    assert not hints(caplog)
    told = [segmenter.segment(image, WORDS, sar=sar, description=text) for text in ("a town", "a wood")]
    assert all(np.array_equal(each.confidence, plain.confidence) and each.provenance == plain.provenance for each in told)
    assert len(hints(caplog)) == 2 and "SAR partners change nothing" in hints(caplog)[1]
    with pytest.raises(InputError, match="this model reads no SAR, so none can be read alone"):
        segmenter.segment(image, WORDS, sar=sar, modalities="sar")


def test_sar_on_another_scale_than_the_model_learnt_is_hinted_at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, sar = pair(tmp_path)
    segmenter: Any = Segmenter(Pairs())
    for learnt, said in (("", 0), ("db", 0), ("8bit", 1)):
        segmenter.model.sar_scale = learnt
        segmenter.segment(image, WORDS, sar=sar, description="a town")
        assert len(hints(caplog)) == said
    assert "given as decibels, and this model learnt from pictures of eight bits" in hints(caplog)[0]


def test_a_built_system_says_on_which_scale_it_learnt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, sar = pair(tmp_path, height=32, width=32)
    for learnt, said in (("db", 0), ("8bit", 1)):
        segmenter = Segmenter(SystemTiles(tiny_tsmnet(sar_scale=learnt).eval()))
        segmenter.segment(image, WORDS, sar=sar, description="a town")
        assert len(hints(caplog)) == said
    assert "given as decibels, and this model learnt from pictures of eight bits" in hints(caplog)[0]


def test_one_of_the_two_may_be_read_alone(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    values = decibels()
    values[:, :, 150:] = np.nan
    write(sar, values)
    found = {how: Segmenter(Pairs()).segment(image, WORDS, sar=sar, modalities=how) for how in get_args(Modalities)}
    assert (found["sar"].labels[:, 150:] == 255).all() and (found["sar"].labels[:, :150] == found["both"].labels[:, :150]).all()
    plain = Segmenter(Pairs()).segment(image, WORDS)
    assert np.array_equal(found["optical"].labels, plain.labels) and not np.array_equal(plain.labels, found["both"].labels)
    assert (found["both"].labels[48:, 150:] == 1).all(), "beyond the radar's swath the image answers"
    assert {how: dict(result.provenance).get("MODALITIES") for how, result in found.items()} == {
        "both": None,
        "optical": "optical alone",
        "sar": "sar alone",
    }
    with pytest.raises(InputError, match="no SAR was given"):
        Segmenter(Pairs()).segment(image, WORDS, modalities="sar")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"height": 90}, r"size: 160 x 96 pixels against 160 x 90"),
        ({"crs": "EPSG:32634"}, r"CRS: EPSG:32633 against EPSG:32634"),
        ({"transform": PLACE @ Affine.translation(3, 0)}, r"transform: .*up to 3 pixels apart"),
    ],
)
def test_a_pair_that_does_not_lie_on_one_grid_is_refused_with_the_difference(
    tmp_path: Path, wrong: dict[str, Any], says: str
) -> None:
    image, sar = pair(tmp_path)
    write(sar, decibels(wrong.pop("height", 96)), **wrong)
    with pytest.raises(PairError, match=f"and its SAR, .*sar/town.tif, do not lie on one grid .*{says}.*--sar-resample"):
        Segmenter(Pairs()).segment(image, WORDS, sar=sar, output=tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("turned", ["image", "sar"])
def test_a_picture_stored_turned_is_refused_as_one_of_a_pair(tmp_path: Path, orientation: int, turned: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    square = np.ascontiguousarray(optical(96, 96).transpose(1, 2, 0))
    pictures = {"image": Image.fromarray(square), "sar": Image.fromarray(np.uint8(decibels(96, 96)[0] + 200))}
    files = {name: tmp_path / f"{name}.png" for name in pictures}
    for name, picture in pictures.items():
        picture.save(files[name], **({"exif": exif} if name == turned else {}))
    sar: list[Any] = [files["sar"], *([np.asarray(pictures["sar"])] if turned == "image" else [])]
    for given in sar:
        ask = partial(Segmenter(Pairs()).segment, files["image"], WORDS, sar=given)
        if orientation == 1:
            ask()
            continue
        with pytest.raises(PairError, match=rf"{turned}.png: its EXIF tag .*orientation {orientation}.*without the tag"):
            ask()
    sources = list_sources([str(files["image"])])
    if orientation == 1:
        assert with_partners(sources, [str(files["sar"])], ReadOptions())[0].sar == files["sar"]
    else:
        with pytest.raises(PairError, match=f"{turned}.png: its EXIF tag"):
            with_partners(sources, [str(files["sar"])], ReadOptions())
    Segmenter(Pairs()).segment(files["image"], WORDS)  # alone it is read upright


@pytest.mark.parametrize("raw", [0, 1])
def test_a_scene_in_the_sensors_own_geometry_is_refused_as_one_of_a_pair(tmp_path: Path, raw: int) -> None:
    files = pair(tmp_path)
    corners = [(y, x, 15 + x / 1000, 45 - y / 1000) for y in (0, 96) for x in (0, 160)]
    placed = {"gcps": [GroundControlPoint(*corner) for corner in corners], "crs": "EPSG:4326", "transform": None}
    write(files[raw], (optical(), decibels())[raw], **placed)
    with pytest.raises(PairError, match="town.tif: only ground control points .* terrain-correct it first"):
        Segmenter(Pairs()).segment(files[0], WORDS, sar=files[1])


def test_it_is_resampled_only_if_asked(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    write(sar, decibels(48, 80), transform=PLACE @ Affine.scale(2))
    with pytest.raises(PairError):
        Segmenter(Pairs()).segment(image, WORDS, sar=sar)
    result = Segmenter(Pairs()).segment(image, WORDS, sar=sar, options=read_options(resample=True))
    assert (result.labels[:, :79] == 0).all() and (result.labels[:, 81:] == 1).all()
    assert "resampled onto the image's grid" in dict(result.provenance)["SAR"]


@pytest.mark.parametrize(
    ("sar", "options", "says"),
    [
        (np.zeros((96, 160), np.complex64), {}, "real numbers, not complex64"),
        (np.zeros((90, 160), np.float32), {}, "size: 160 x 96 pixels against 160 x 90.*an array says nothing"),
        (np.full((96, 160), 0.3, np.float32), {}, "may be of several scales; say which they are: --sar-scale"),
        (np.full((96, 160), 3000, np.uint16), {"scale": "db"}, "sar.scale is db, but values run from 3000"),
        (np.full((96, 160), 9, np.uint8), {"speckle": Speckle("lee")}, "choose none or boxcar"),
        (np.full((96, 160), -9, np.float32), {"bands": (1, 2)}, "reads 1 polarisation of SAR, and bands .* are 2"),
        (np.full((96, 160), -9, np.float32), {"bands": (2,)}, "has no band 2; it has 1"),
        ("absent.tif", {}, "absent.tif: there is no such file"),
        ("https://example.org/sar.tif", {}, "a SAR partner is read from a file here"),
        (7, {}, "SAR is a file, or an array"),
    ],
)
def test_what_is_no_partner_is_refused(sar: Any, options: dict[str, Any], says: str) -> None:
    rgb = np.ascontiguousarray(optical().transpose(1, 2, 0))
    with pytest.raises(OvrsError, match=says):
        Segmenter(Pairs()).segment(rgb, WORDS, sar=sar, options=read_options(**options))


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    sar.write_bytes(sar.read_bytes()[:2000])
    with pytest.raises(DataError, match="town.tif"):
        Segmenter(Pairs()).segment(image, WORDS, sar=sar)
    sar.write_text("no raster")
    with pytest.raises(DataError, match="not readable as a raster"):
        Segmenter(Pairs()).segment(image, WORDS, sar=sar)


def test_no_result_overwrites_the_partner(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    with pytest.raises(OutputError, match="is an input and would be overwritten"):
        Segmenter(Pairs()).segment(image, WORDS, sar=sar, output=sar)


def test_the_scale_is_guessed_where_values_tell_it() -> None:
    assert guessed_scale(np.full(4, 9, np.float32), True, "a") == "8bit"
    assert guessed_scale(np.array([-9, -12, np.nan, 1], np.float32), False, "a") == "db"
    assert guessed_scale(np.full(4, np.nan, np.float32), False, "a") == "db"
    with pytest.raises(InputError, match="a: SAR values from 1 to 3 may be"):
        guessed_scale(np.array([1, 3], np.float32), False, "a")
    assert parse_sar_bands("2, 1") == (2, 1)
    for text in ("0", "1,1", "VV", ""):
        with pytest.raises(InputError, match="--sar-bands"):
            parse_sar_bands(text)


def test_values_in_a_corner_tell_the_scale_too(tmp_path: Path) -> None:
    power = np.full((1, 900, 900), np.nan, np.float32)
    place = Place(900, 900)
    with open_partner(write(tmp_path / "empty.tif", power), place, SarOptions()) as partner:
        assert partner.scale == "db" and np.isnan(partner.read(0, 9, 0, 9)).all()
    power[0, 200:230, 200:220] = 0.3
    for sar in (write(tmp_path / "power.tif", power), power):
        with (
            pytest.raises(InputError, match="SAR values from 0.3 to 0.3 may be of several scales"),
            open_partner(sar, place, SarOptions()),
        ):
            pass
    with open_partner(write(tmp_path / "db.tif", -power), place, SarOptions()) as partner:
        assert partner.said == "db.tif, band 1, db"


def test_alpha_is_no_polarisation(tmp_path: Path) -> None:
    values = np.full((2, 96, 160), 9, np.uint8)
    values[1] = 255
    sar, place = write(tmp_path / "s.tif", values, alpha="yes"), Place(96, 160)
    with open_partner(sar, place, SarOptions(), 1) as partner:
        assert partner.said == "s.tif, band 1, 8bit"
    with (
        pytest.raises(InputError, match="s.tif: holds 1 band of values, alpha apart, and 2 are read"),
        open_partner(sar, place, SarOptions(), 2),
    ):
        pass
    three = np.concatenate([values, values[:1] + 1])[[0, 1, 2]]
    with rasterio.open(write(tmp_path / "t.tif", three), "r+") as file:
        file.colorinterp = [ColorInterp.gray, ColorInterp.alpha, ColorInterp.undefined]
    with open_partner(tmp_path / "t.tif", place, SarOptions(), 2) as partner:
        assert partner.said == "t.tif, bands 1,3, 8bit" and (partner.read(0, 9, 0, 9)[1] == 10).all()


@pytest.mark.parametrize("scale", [None, "db"])
def test_a_band_that_is_not_there_is_named(tmp_path: Path, scale: Any) -> None:
    sar = write(tmp_path / "s.tif", decibels())
    with (
        pytest.raises(DataError, match="s.tif: has no band 3; it has 1"),
        open_partner(sar, Place(96, 160), SarOptions(scale, (3,))),
    ):
        pass


def test_a_mask_says_what_was_not_measured() -> None:
    place = Place(96, 160)
    for dtype, fill, says in ((np.float32, -9999, "db"), (np.uint8, 250, "8bit")):
        values = np.where(decibels()[0] < -14, fill, decibels()[0] if says == "db" else 9).astype(dtype)
        masked = np.ma.masked_equal(values, fill)
        with open_partner(masked, place, SarOptions()) as partner:
            found = partner.read(0, 96, 0, 160)
            assert partner.said == f"an array, band 1, {says}"
            assert np.isnan(found[:, :, :80]).all() and np.isfinite(found[:, :, 80:]).all()


def test_a_scene_of_sound_power_does_not_fail_on_its_calm_water(tmp_path: Path) -> None:
    """What noise was taken off is as often below 0 as above where nothing scatters back."""
    power = np.full((1, 96, 160), 0.1, np.float32)
    power[:, :, :60] = np.random.default_rng(0).normal(-2e-4, 1e-3, (1, 96, 60))
    for sar in (write(tmp_path / "s.tif", power), power):
        with open_partner(sar, Place(96, 160), SarOptions("intensity")) as partner:
            assert np.isnan(partner.read(0, 50, 0, 50)).mean() > 0.5
        with (
            pytest.raises(DataError, match="most of them below 0; give db"),
            open_partner(write(tmp_path / "db.tif", decibels()), Place(96, 160), SarOptions("intensity")),
        ):
            pass
    impossible = np.full((1, 900, 900), 5, np.uint16)
    impossible[0, 400, 400] = 4000
    with (
        open_partner(write(tmp_path / "high.tif", impossible), Place(900, 900), SarOptions("8bit")) as partner,
        pytest.raises(DataError, match="high.tif: sar.scale is 8bit, but values run from 5 to 4000"),
    ):
        partner.read(350, 450, 350, 450)


# --------------------------------------------------------------------- scenes


def test_a_mean_leaves_out_what_is_not_known_and_windows_agree_with_the_whole() -> None:
    values = np.random.default_rng(0).normal(size=(2, 60, 90)).astype(np.float32)
    values[:, :30, :40] = np.nan

    def read(top: int, bottom: int, left: int, right: int) -> Any:
        return values[:, top:bottom, left:right]

    coarse = resampled(read, (60, 90), (12, 9), Window(0, 12, 0, 9))
    blocks = np.ma.masked_invalid(values.reshape(2, 12, 5, 9, 10))
    expected = blocks.mean(axis=(2, 4)).filled(np.nan)
    assert np.allclose(coarse, expected, atol=1e-5, equal_nan=True) and np.isnan(coarse[:, :6, :4]).all()
    for grid in ((17, 23), (60, 90), (130, 200), (60, 23)):
        whole = resampled(read, (60, 90), grid, Window(0, grid[0], 0, grid[1]))
        part = resampled(read, (60, 90), grid, Window(5, 16, 3, 22))
        assert np.allclose(part, whole[:, 5:16, 3:22], atol=1e-5, equal_nan=True)
    fine = resampled(read, (60, 90), (120, 180), Window(0, 120, 0, 180))
    assert np.allclose(fine[:, 119, 179], values[:, 59, 89]) and np.isfinite(fine[:, 62:]).all()


def test_both_are_read_on_the_models_grid(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    result = Segmenter(Pairs()).segment(image, WORDS, sar=sar, options=ReadOptions(gsd=20))
    assert result.labels.shape == (96, 160)
    assert (result.labels[:, :72] == 0).all() and (result.labels[:, 88:] == 1).all()
    whole = Segmenter(Pairs()).segment(image, Sentence("water on the left", "whole", others=("land",)), sar=sar)
    assert (whole.labels[:, :72] == 0).all() and (whole.labels[:, 88:] == 1).all()


def test_speckle_filters_do_not_see_the_windows(tmp_path: Path) -> None:
    _, sar = pair(tmp_path)
    noisy = decibels() + np.random.default_rng(0).normal(size=(1, 96, 160)).astype(np.float32)
    write(sar, noisy)
    options = SarOptions(speckle=Speckle("lee", 5, 4.0))
    with open_partner(sar, Place(96, 160), options) as by_file, open_partner(noisy, Place(96, 160), options) as by_array:
        assert by_file.said == "town.tif, band 1, db, speckle filter lee of 5 pixels for 4 looks"
        assert np.allclose(by_file.read(20, 50, 30, 90), by_array.read(20, 50, 30, 90), atol=1e-4)
        assert by_file.version != by_array.version


def test_what_has_no_measurement_is_nan(tmp_path: Path) -> None:
    values = np.full((1, 96, 160), 90, np.uint8)
    values[0, :10] = 255
    for given in (write(tmp_path / "s.tif", values), values):
        with open_partner(given, Place(96, 160), SarOptions(nodata=255)) as partner:
            known = np.isfinite(partner.read(0, 96, 0, 160))
        assert not known[:, :10].any() and known[:, 10:].all()


def test_work_on_another_pair_or_description_is_not_mixed_in(tmp_path: Path) -> None:
    image, sar = pair(tmp_path, height=1600, width=64)
    other = write(tmp_path / "other.tif", decibels(1600, 64) + 1)
    output = tmp_path / "map.tif"

    def segment(model: Pairs, stop: bool = False, **how: Any) -> None:
        def progress(done: int, total: int) -> None:
            if stop and done > 0.8 * total:
                raise KeyboardInterrupt

        how = {"sar": sar, "description": "a town", **how}
        Segmenter(model, in_memory=0).segment(image, WORDS, output=output, progress=progress, **how)

    with pytest.raises(KeyboardInterrupt):
        segment(Pairs(), stop=True)
    for how, says in (
        ({"sar": other}, "another image"),
        ({"sar": None}, "another image"),
        ({"modalities": "sar"}, "another options"),
        ({"description": "a wood"}, "another vocabulary"),
        ({"options": read_options(speckle=Speckle("lee"))}, "another options"),
        ({"options": read_options(nodata=-20.0)}, "another options"),
    ):
        with pytest.raises(OutputError, match=says):
            segment(Pairs(), resume=True, **how)
    again, whole = Pairs(), Pairs()
    segment(again, resume=True)
    segment(whole)
    assert 0 < again.tiles < whole.tiles


def test_memory_does_not_grow_with_the_scene(tmp_path: Path) -> None:
    class Cheap(Pairs):
        tiling = Tiling(tile=256, overlap=0.0, patch=16, per_patch=1)
        batch = 1

        def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
            assert tiles.shape[1:] == (4, 256, 256)
            water = (tiles[:, 3, ::16, ::16] < -14).float()
            return torch.stack([water, 1 - water], dim=1)

    peaks = []  # of both the picture of the result is as large
    for height in (2048, 8192):
        profile: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
        image = write(tmp_path / f"{height}.tif", optical(height, 1024), **profile)
        sar = write(tmp_path / f"{height}.sar.tif", decibels(height, 1024), **profile)
        tracemalloc.start()
        Segmenter(Cheap(), in_memory=0).segment(image, WORDS, sar=sar, output=tmp_path / f"{height}.map.tif")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 0.5 * 6144 * 1024 * 4, "less than half of the further SAR pixels"


def test_pixels_of_the_image_that_are_nodata_stay_so() -> None:
    rgb = np.ascontiguousarray(optical().transpose(1, 2, 0))
    valid = np.ones((96, 160), bool)
    valid[:20] = False
    result = Segmenter(Pairs()).segment(ImageInput.from_array(rgb, valid), WORDS, sar=decibels())
    assert (result.labels[:20] == 255).all() and (result.labels[20:, :80] == 0).all()
