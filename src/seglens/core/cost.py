"""What a computation costs: floating-point operations in forward passes of the network, time and memory."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True, slots=True)
class Cost:
    """What an explanation cost.

    flops: floating-point operations (matrix products and convolutions, as torch counts them).
    forward: those of one forward pass of the explained network on the same batch.
    seconds: wall-clock time. peak_bytes: peak of device memory, None on a CPU.
    """

    flops: int
    forward: int
    seconds: float
    peak_bytes: int | None = None

    @property
    def passes(self) -> float:
        """F: flops as multiples of one forward pass; NaN where the network has none that are counted."""
        return self.flops / self.forward if self.forward else float("nan")

    def __str__(self) -> str:
        memory = f", {self.peak_bytes / 2**20:.0f} MiB" if self.peak_bytes is not None else ""
        return f"{self.passes:.2f} F ({self.flops / 1e9:.3g} GFLOP), {self.seconds:.2f} s{memory}"


class FlopCounter(TorchDispatchMode):
    """Counts the floating-point operations of all that runs under it, by torch's own formulas.

    torch's FlopCounterMode follows modules too, and fails where a leaf is given to `autograd.grad`;
    this one counts only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
        return out


@dataclass(slots=True)
class Meter:
    """Filled when the `measured()` block ends."""

    flops: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None


@contextmanager
def measured(device: torch.device | None = None) -> Generator[Meter]:
    """Measure flops, seconds and, on a CUDA device, the peak of memory of the block."""
    meter = Meter()
    cuda = device is not None and device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    counter = FlopCounter()
    try:
        with counter:
            yield meter
    finally:
        if cuda:
            torch.cuda.synchronize(device)
            meter.peak_bytes = torch.cuda.max_memory_allocated(device)
        meter.seconds = time.perf_counter() - start
        meter.flops = counter.flops
