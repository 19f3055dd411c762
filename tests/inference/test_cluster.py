"""Scenes on a Ray cluster of two workers: one is killed, and nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

from ovrs.inference.batch import Job, read_records
from ovrs.inference.cluster import ModelSpec, segment_on_ray
from ovrs.inference.sources import list_sources
from ovrs.vocabulary import Vocabulary


def test_a_worker_is_killed_and_nothing_is_lost_or_done_twice(tmp_path: Path, write_tiff: Callable[..., Path]) -> None:
    import ray

    for number in range(6):
        write_tiff(np.random.default_rng(number).integers(1, 255, (3, 40, 50), dtype=np.uint8), f"scene{number}.tif")
    (tmp_path / "scene6.tif").write_bytes((tmp_path / "scene5.tif").read_bytes()[:-2000])
    log = tmp_path / "log"
    log.mkdir()

    class Spec(ModelSpec):
        """A model that notes every tile, and once kills its own process."""

        def load(self):  # type: ignore[no-untyped-def]
            from ovrs.inference.segmenter import Segmenter
            from ovrs.inference.tiles import Tiling

            class Model:
                tiling = Tiling(tile=64, overlap=0.25, patch=16, per_patch=16)
                batch = 1

                def identity(self):  # type: ignore[no-untyped-def]
                    return "model"

                def score(self, tiles, vocabulary):  # type: ignore[no-untyped-def]
                    brightness = int(tiles.sum())
                    if not (log / "killed").exists():
                        (log / "killed").touch()
                        os.kill(os.getpid(), signal.SIGKILL)
                    (log / f"{brightness}_{os.getpid()}_{os.urandom(4).hex()}").touch()
                    return tiles.float() / 255

            return Segmenter(Model())

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        sources = list_sources([str(tmp_path / "scene*.tif")])
        job = Job(tmp_path / "out", Vocabulary.parse("red,green,blue"))
        records = list(segment_on_ray(Spec(), sources, job))
        again = list(segment_on_ray(Spec(), sources, Job(job.output, job.vocabulary, resume=True)))
    finally:
        ray.shutdown()
    assert sorted(Path(record.scene).name for record in records) == [source.path.name for source in sources]
    assert sorted(record.status for record in records) == ["done"] * 6 + ["failed"]
    assert (log / "killed").exists()
    scored = [path.name.split("_")[0] for path in log.iterdir() if path.name != "killed"]
    assert len(scored) == len(set(scored)) == 6  # the scene over which a worker died among them
    assert sorted(record.status for record in again) == ["failed"] + ["kept"] * 6
    assert {record.status for record in read_records(job.output)} == {"done", "failed"}
