"""Backends that are hard to use, in a way that a test knows."""

from __future__ import annotations

import os
from typing import ClassVar

from adapters.base import Backend, Configuration, Description
from adapters.reference_backend import ReferenceBackend
from columnar_nn.errors import MissingPackageError, UnsupportedOperatorError


class PickyBackend(ReferenceBackend):
    """The reference, without Tanh; Sigmoid ends the process, float64 weights are refused."""

    name = "picky"
    fair_settings: ClassVar = {"be_fair": "or it is not"}
    configurations: ClassVar = {"float64": Configuration("as the reference", "default")}

    def _build(self) -> None:
        for node in self.graph.nodes:
            if node.op_type == "Tanh":
                raise UnsupportedOperatorError(self.name, [(node.name, node.op_type, "left out")])
            if node.op_type == "Sigmoid":
                os._exit(3)
        if any(weight.dtype == "float64" for weight in self.graph.weights.values()):
            raise TypeError("float64 it is\nand a second line")
        super()._build()


class AbsentBackend(Backend):
    """Its package is not installed."""

    name = "absent"
    package = "no_such_package"
    extra = "torch"
    configurations: ClassVar = {"only": Configuration("the only one", "default")}

    @classmethod
    def import_framework(cls) -> None:
        raise MissingPackageError(cls.package, cls.extra)

    def _build(self) -> None:
        raise AssertionError

    def describe(self) -> Description:
        raise AssertionError
