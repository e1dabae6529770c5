"""A network run call by call under PyTorch's profiler, each call marked with its node's name."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from adapters.operator_profile import OperatorProfile, merged
from adapters.pytorch.network import NODE

MARK = "node "


class ProfiledNetwork:
    """Called as the module is; `start` before the first call, `stop` after the last."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        self._interpreter = _MarkingInterpreter(module)
        self._profiler = profile(activities=[ProfilerActivity.CPU], acc_events=True)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        return self._interpreter.run(*inputs)

    def start(self) -> None:
        """Profiles from now on."""
        self._profiler.start()

    def stop(self) -> tuple[OperatorProfile, ...]:
        """Times of the marked calls, each under the name of the operator that took most of it."""
        self._profiler.stop()
        return merged(
            OperatorProfile(
                (event.name.removeprefix(MARK),), _kernel(event), event.cpu_time_total / 1e6, 1
            )
            for event in self._profiler.events() or ()
            if event.name.startswith(MARK)
        )


class _MarkingInterpreter(torch.fx.Interpreter):  # type: ignore[misc]
    def run_node(self, n: torch.fx.Node) -> Any:
        with ExitStack() as stack:
            if n.op.startswith("call_"):
                stack.enter_context(record_function(MARK + n.meta[NODE]))
            return super().run_node(n)


def _kernel(event: Any) -> str:
    """The operator called, or the innermost one below it that takes most of its time."""
    depth = 0
    while event.cpu_children:
        longest = max(event.cpu_children, key=lambda child: child.cpu_time_total)
        if depth and 2 * longest.cpu_time_total < event.cpu_time_total:
            break
        event, depth = longest, depth + 1
    return str(event.name.removeprefix(MARK))
