"""What procedural scenes have beside image and labels, as the configuration asks for it."""

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg

from ovrs.config import add_ovrs_config
from ovrs.data import entries
from ovrs.data.loaders import build_test_loader, dataset_dicts
from ovrs.data.scenes import draw_scene
from ovrs.data.scenes.clouds import drawn_sky
from ovrs.errors import ConfigError

# Words by which a description says where something is.
SIDES = (" left", " right", " top", " bottom", " upper", " lower", " quarter", " half.")


@pytest.fixture
def cfg(monkeypatch):
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.SCENES.VAL_SIZE = 4
    cfg.DATASETS.SCENES.IMAGE_SIZE = 64
    monkeypatch.setattr(entries, "_kept_scenes", {})
    return cfg


def samples(cfg, **keys):
    for key, value in keys.items():
        cfg.DATASETS.SCENES[key] = value
    return [batch[0] for batch in build_test_loader(cfg, "scenes_val")]


def test_scenes_are_alone_unless_asked(cfg):
    assert all("sar" not in sample and "description" not in sample for sample in samples(cfg))
    assert "scene_partners" not in dataset_dicts(cfg, "scenes_val")[0]


def test_sar_is_the_radar_s_backscatter(cfg):
    scene = draw_scene(1, 0, size=64)
    (decibels, *_), (stretched, *_) = samples(cfg, SAR="db"), samples(cfg, SAR="8bit")
    assert decibels["sar"].dtype == torch.float32 and decibels["sar"].shape == (1, 64, 64)
    assert np.allclose(decibels["sar"][0], 10 * np.log10(scene.sar), atol=1e-4)
    assert np.array_equal(stretched["sar"][0], scene.sar_view.astype(np.float32))


def test_a_partner_changes_neither_image_nor_labels(cfg):
    alone, with_all = samples(cfg), samples(cfg, SAR="db", DESCRIPTIONS=True)
    for one, other in zip(alone, with_all, strict=True):
        assert torch.equal(one["image"], other["image"]) and torch.equal(one["sem_seg"], other["sem_seg"])


def test_clouds_hide_the_image_and_neither_labels_nor_sar(cfg):
    clear, cloudy = samples(cfg, SAR="db"), samples(cfg, SAR="db", CLOUDY_SHARE=1.0, CLOUD_COVER=(0.5, 0.9))
    for one, other in zip(clear, cloudy, strict=True):
        assert (one["image"] != other["image"]).any(0).float().mean() > 0.4
        assert torch.equal(one["sem_seg"], other["sem_seg"]) and torch.equal(one["sar"], other["sar"])


def test_the_sky_follows_from_seed_and_index_alone():
    skies = [drawn_sky(7, index, 0.3, (0.2, 0.6)) for index in range(400)]
    assert skies == [drawn_sky(7, index, 0.3, (0.2, 0.6)) for index in range(400)]
    cloudy = [sky for sky in skies if sky]
    assert 0.22 < len(cloudy) / 400 < 0.38 and min(cloudy) >= 0.2 and max(cloudy) <= 0.6 and len(set(cloudy)) > 50
    more = [drawn_sky(7, index, 0.5, (0.2, 0.6)) for index in range(400)]
    assert all(sky in (0, other) for sky, other in zip(skies, more, strict=True))
    assert not any(drawn_sky(7, index, 0.0, (0.2, 0.6)) for index in range(9))


def test_descriptions_name_no_side_so_that_flips_leave_them_true(cfg):
    found = [sample["description"] for sample in samples(cfg, DESCRIPTIONS=True)]
    assert len(set(found)) == 4 and all(len(text.split()) > 8 for text in found)
    summaries = [draw_scene(3, index, size=64).summary for index in range(30)]
    assert not [text for text in summaries if any(side in text for side in SIDES)]
    assert any(side in draw_scene(3, index, size=64).description for index in range(30) for side in SIDES)


def test_scenes_are_kept_apart_by_what_they_have(cfg):
    entry = {"scene_seed": 1, "scene_index": 0, "scene_size": 64}
    cfg.DATASETS.SCENES.SAR = "db"
    with_sar = dataset_dicts(cfg, "scenes_val")[0]
    first, second = (entries.read_entry(one, "index", kept_bytes=2**20) for one in (entry, with_sar))
    assert first.sar is None and second.sar is not None and second.nbytes - first.nbytes == 4 * 64 * 64
    assert entries.read_entry(with_sar, "index", kept_bytes=2**20) is second


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SAR", "dB", "SCENES.SAR is 'dB'; it must be"),
        ("CLOUDY_SHARE", 1.5, "SCENES.CLOUDY_SHARE is 1.5; it must be a share"),
        ("CLOUD_COVER", (0.8, 0.3), "SCENES.CLOUD_COVER is .0.8, 0.3.; it must be the least and the most"),
        ("CLOUD_COVER", (), "SCENES.CLOUD_COVER is"),
    ],
)
def test_keys_that_cannot_work_are_named(cfg, key, value, message):
    cfg.DATASETS.SCENES[key] = value
    with pytest.raises(ConfigError, match=message):
        dataset_dicts(cfg, "scenes_val")


def test_sentences_about_scenes_do_without_partners(cfg):
    cfg.DATASETS.TASK, cfg.DATASETS.SCENES.SAR = "referring", "db"
    with pytest.raises(ConfigError, match="SCENES: SAR, DESCRIPTIONS and CLOUDY_SHARE are for DATASETS.TASK segmentation"):
        dataset_dicts(cfg, "scenes_refer_val")
