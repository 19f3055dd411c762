"""Batch norm and losses over processes are those of all images in one."""

import sys
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from processes import ended, started

from ovrs.engine import launch as launching
from ovrs.engine.batch_norm import SharedBatchNorm, share_batch_norms
from ovrs.modeling.losses import alignment_loss, segmentation_loss


def inputs():
    generator = torch.Generator().manual_seed(0)
    x = 3 + 2 * torch.randn(6, 3, 5, 4, generator=generator)
    target = torch.randint(0, 3, (6, 10, 8), generator=generator)
    target[1] = 255
    target[3, :7] = 255
    return x, target


def outcome(x, target, kind, momentum):
    """Output, statistics, input gradient and parameter gradients of a small network with all that depends on the batch."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), kind(3, momentum=momentum))
    return model, x.clone().requires_grad_(), target


def loss_of(model, x, target):
    scores = model(x)
    cost = scores[:, None]
    shared = segmentation_loss(scores, target, ignored="mask", reduction="class_sum")
    return scores, shared + alignment_loss(cost, target, torch.tensor(2.0))


def in_a_process(folder, *norm):
    from detectron2.utils import comm

    x, target = inputs()
    rank = comm.get_rank()
    model, x, target = outcome(x[rank::2], target[rank::2], *norm)
    share_batch_norms(model)
    assert isinstance(model[1], SharedBatchNorm)
    scores, loss = loss_of(model, x, target)
    loss.backward()
    model.eval()
    result = {
        "scores": scores.detach(),
        "loss": loss.detach(),
        "x": x.grad,
        "state": model.state_dict(),
        "gradients": [parameter.grad for parameter in model.parameters()],
        "evaluated": model(x).detach(),
    }
    torch.save(result, folder / f"{rank}.pth")


def in_two_processes(folder, *norm):
    torch.set_num_threads(1)
    launching.START_METHOD = "fork"
    launching.launch(in_a_process, 0, num_processes=2, args=(folder, *norm))


@pytest.mark.parametrize("norm", [(nn.BatchNorm2d, 0.1), (nn.BatchNorm2d, None), (BatchNormAct2d, 0.1)])
def test_two_processes_give_what_one_gives(norm, tmp_path):
    assert ended(started(in_two_processes, tmp_path, *norm)) == [0]
    parts = [torch.load(tmp_path / f"{rank}.pth") for rank in (0, 1)]
    model, x, target = outcome(*inputs(), *norm)
    scores, loss = loss_of(model, x, target)
    loss.backward()
    model.eval()
    evaluated = model(x)
    mean = [sum(pair) / 2 for pair in zip(*(part["gradients"] for part in parts), strict=True)]  # as processes average them
    assert torch.allclose(sum(part["loss"] for part in parts) / 2, loss)
    for mine, parameter in zip(mean, model.parameters(), strict=True):
        assert torch.allclose(mine, parameter.grad, atol=1e-6)
    for rank, part in enumerate(parts):
        assert torch.allclose(part["scores"], scores[rank::2], atol=1e-5)
        assert torch.allclose(part["evaluated"], evaluated[rank::2], atol=1e-5)
        assert torch.allclose(part["x"] / 2, x.grad[rank::2], atol=1e-6)
        assert set(part["state"]) == set(model.state_dict())
        for name, value in model.state_dict().items():
            assert torch.allclose(part["state"][name], value, atol=1e-6), name


def test_what_never_trains_stays_as_it_is():
    model = nn.Sequential(nn.BatchNorm2d(3)).eval()
    nn.init.normal_(model[0].running_mean)
    x = torch.randn(2, 3, 4, 4)
    before = model(x)
    share_batch_norms(model)
    assert torch.equal(model(x), before)
