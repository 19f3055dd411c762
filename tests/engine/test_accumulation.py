import copy

import pytest
import torch
import torch.distributed as dist
from detectron2.utils.events import EventStorage
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ovrs.config import load_config
from ovrs.engine.trainer import Trainer, TrainingStep
from ovrs.errors import ConfigError


class Regression(nn.Module):
    """The mean over images of a squared error, every image counting the same."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, batch):
        error = self.layers(torch.stack([entry["x"] for entry in batch]))
        return {"loss_square": error.square().mean(), "loss_plain": 0.1 * error.abs().mean()}


def batch_of(count):
    generator = torch.Generator().manual_seed(1)
    return [{"x": torch.randn(6, generator=generator)} for _ in range(count)]


def after_steps(batch, parts, clip, model=None, steps=3):
    """Weights and logged losses after some steps on one batch."""
    model = model or Regression()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    step = TrainingStep(model, [batch] * steps, optimizer, clip=clip, parts=parts)
    with EventStorage() as storage:
        for _ in range(steps):
            step.run_step()
        figures = {name: storage.history(name).latest() for name in ("total_loss", "loss_plain", "grad_norm")}
        assert len(storage.history("grad_norm").values()) == steps, "clipped once a step"
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), figures


@pytest.fixture
def clip(config_file):
    return load_config(str(config_file)).SOLVER.CLIP_GRADIENTS


@pytest.mark.parametrize(("images", "parts"), [(8, 2), (8, 8), (5, 2), (7, 3)])
def test_a_batch_in_parts_trains_as_the_whole_batch(images, parts, clip):
    weights, figures = after_steps(batch_of(images), 1, clip)
    in_parts, figures_in_parts = after_steps(batch_of(images), parts, clip)
    torch.testing.assert_close(in_parts, weights, rtol=0, atol=1e-6)
    assert figures_in_parts == pytest.approx(figures, abs=1e-6)
    assert not torch.allclose(weights, torch.cat([p.detach().flatten() for p in Regression().parameters()]), atol=1e-3)


def test_a_part_holds_no_more_than_its_share_of_the_images(clip):
    sizes = []

    class Counting(Regression):
        def forward(self, batch):
            sizes.append(len(batch))
            return super().forward(batch)

    after_steps(batch_of(7), 3, clip, model=Counting(), steps=1)
    assert sizes == [3, 3, 1]


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_processes_exchange_gradients_once_a_step(process_group, clip):
    exchanged = []

    def count(_, bucket):
        exchanged.append(bucket.buffer().clone())
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    model = DistributedDataParallel(Regression())
    model.register_comm_hook(None, count)
    weights, _ = after_steps(batch_of(8), 4, clip, model=model, steps=1)
    assert len(exchanged) == 1
    expected, _ = after_steps(batch_of(8), 1, clip, steps=1)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)


def test_a_training_in_parts_is_the_same_training(config_file, tmp_path):
    states = []
    for parts in (1, 2):
        # All classes, so that every image has the same number of pixels that count.
        options = ["SOLVER.ACCUMULATION_STEPS", str(parts), "DATASETS.TRAIN_CLASSES", "all", "DATASETS.TEST", "()"]
        torch.manual_seed(0)
        trainer = Trainer(load_config(str(config_file), [*options, "OUTPUT_DIR", str(tmp_path / str(parts))]))
        trainer.train()
        states.append(copy.deepcopy(trainer.model.state_dict()))
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("parts", "images"), [("0", "2"), ("3", "2"), ("-2", "2"), ("3", "4")])
def test_parts_that_do_not_divide_the_images_are_refused(config_file, parts, images):
    options = ["SOLVER.ACCUMULATION_STEPS", parts, "SOLVER.IMS_PER_BATCH", images]
    divisors = "1, 2, 4" if images == "4" else "1, 2"
    with pytest.raises(ConfigError, match=f"ACCUMULATION_STEPS is {parts}: the {images} images .* one of {divisors}$"):
        Trainer(load_config(str(config_file), options))


def test_gradients_are_scaled_in_half_precision_on_cuda_only(config_file):
    for precision in ("fp32", "bf16", "fp16"):
        trainer = Trainer(load_config(str(config_file), ["MODEL.PRECISION", precision]))
        assert not trainer._trainer.scaler.is_enabled()
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    assert TrainingStep(model, [], optimizer, clip=None, scaled=torch.cuda.is_available()).scaler.is_enabled() == (
        torch.cuda.is_available()
    )
