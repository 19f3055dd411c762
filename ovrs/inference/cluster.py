"""The same work on a Ray cluster: each scene is a task, and a task whose worker dies is given to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ovrs.errors import InputError, OvrsError
from ovrs.inference.batch import Job, Record, record_path, segment_scene
from ovrs.inference.quality import QualityName
from ovrs.inference.sources import Source

if TYPE_CHECKING:
    from ovrs.inference.segmenter import Segmenter

# How often a scene is given to another worker after one has died over it: a scene that kills them all must come to an end.
_RETRIES = 3
# The segmenter of a worker process, which serves many tasks.
_LOADED: dict[ModelSpec, Segmenter] = {}


@dataclass(frozen=True)
class ModelSpec:
    """From what a worker builds its segmenter, see :meth:`Segmenter.from_config`."""

    config_file: str = "mini"
    weights: str | None = None
    options: tuple[str, ...] = ()
    device: str | None = None
    quality: QualityName = "best"

    def load(self) -> Segmenter:
        """The segmenter, built once a process."""
        if self not in _LOADED:
            from ovrs.inference.segmenter import Segmenter

            _LOADED[self] = Segmenter.from_config(self.config_file, self.weights, list(self.options), self.device, self.quality)
        return _LOADED[self]


def segment_on_ray(
    spec: ModelSpec, sources: Sequence[Source], job: Job, *, gpus: float = 0.0, address: str | None = None
) -> Iterator[Record]:
    """Segment scenes on a Ray cluster that shares the folders of the scenes and of the results.

    Args:
        gpus: of each worker.
        address: of a cluster; None takes the one that ``RAY_ADDRESS`` names, or starts one on this machine.

    Yields:
        A record for each scene, as they are finished; a scene that failed is one of them.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs the package 'ray': pip install 'ovrs[scale]'") from error
    if not job.resume:  # what a worker finds done was then done in this run
        for source in sources:
            record_path(source, job).unlink(missing_ok=True)
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    try:
        # What a worker that died has finished of a scene is taken up by the next.
        task = ray.remote(max_retries=_RETRIES, num_gpus=gpus)(_segment)
        pending: dict[Any, Source] = {task.remote(spec, source, replace(job, resume=True)): source for source in sources}
        while pending:
            finished, _ = ray.wait(list(pending))
            for reference in finished:
                source = pending.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield Record(str(source.path), "failed", error=" ".join(str(error).split()))
    finally:
        if ours:
            ray.shutdown()


def _segment(spec: ModelSpec, source: Source, job: Job) -> Record:
    """What a worker does."""
    try:
        return segment_scene(spec.load(), source, job)[0]
    except OvrsError as error:
        return Record(str(source.path), "failed", error=" ".join(str(error).split()))
