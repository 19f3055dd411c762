"""What the tests of MAFN's blocks share."""

import math

import torch
from torch import nn

DEAD = 1e-7  # of the largest gradient: rounding in double precision lies far below, what learns far above


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def with_statistics(module):
    """The module with running statistics that are not the identity."""
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
    return module


def dead_parameters(module, run):
    """Names of the parameters that a random loss of ``run(module)``, a list of tensors, does not depend on in training."""
    module = module.double().train()
    outputs = run(module)
    sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    size = {name: 0.0 if p.grad is None else float(p.grad.abs().max()) for name, p in module.named_parameters()}
    assert all(math.isfinite(value) for value in size.values())
    return [name for name, value in size.items() if value <= DEAD * max(size.values())]
