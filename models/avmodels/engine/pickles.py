"""Published pickles and TorchScript archives, read for their tensors without running their code."""

from __future__ import annotations

import pickle
import struct
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Self

import torch

from avmodels.errors import WeightsError

# All that tensors need of a pickle; storages are torch's own affair.
TENSORS = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
}
# Parts of Python whose objects training scripts leave beside the weights.
PLAIN = ("argparse", "collections", "datetime", "enum", "logging", "pathlib", "typing")


class PassedOver:
    """Stands for an object of a training script's own class, which is not wanted: it takes anything."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __call__(self, *_: Any, **__: Any) -> PassedOver:
        return self

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, *_: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass


class Tensors(pickle.Unpickler):
    """Reads tensors and plain data, and makes every other object a PassedOver: nothing is imported or called.

    Raises UnpicklingError for what no description of a training run needs: a function of Python itself.
    """

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in TENSORS:
            return super().find_class(module_name, global_name)
        top = module_name.partition(".")[0]
        if top in sys.stdlib_module_names and top not in PLAIN or top in ("posix", "nt", "__builtin__"):
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return PassedOver


# What readers of pickles and archives raise on bytes that mean nothing.
BROKEN = (
    RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    MemoryError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


def read(path: Path) -> Any:
    """What a pickle of torch or a TorchScript archive holds, its tensors on the CPU.

    Raises WeightsError for a file that is broken or would have to run code.
    """
    reader = SimpleNamespace(__name__="tensors", Unpickler=Tensors, load=_load)
    try:
        if is_script(path):
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is a pickle that needs to run code to be read ({error}); "
            "refused: ask its author for safetensors or a plain state dict"
        ) from error
    except BROKEN as error:
        raise WeightsError(f"{path} is not a readable checkpoint: {error or type(error).__name__}") from error


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive, the form of OpenAI's own files."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/")[1:] == ["constants.pkl"] for name in archive.namelist())


def _load(file: IO[bytes], **options: Any) -> Any:
    return Tensors(file, **options).load()
