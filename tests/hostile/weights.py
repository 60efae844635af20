"""Made-bad checkpoints, networks and pictures."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from tests.hostile.texts import mutated


class Calling:
    """Unpickled, it calls a function by its name."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments


def pickled(calls: Calling) -> bytes:
    """A pickle that calls: protocol 2, written by hand, for the function need not exist here."""
    body = b"\x80\x02c" + f"{calls.module}\n{calls.name}\n".encode()
    return body + pickle.dumps(calls.arguments, protocol=2)[2:-1] + b"R."


def checkpoints(seed: int, marker: Path, secret: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents; whoever runs the code in one of them makes the file `marker`."""
    touch = f"touch {marker}"
    source = f"open({str(marker)!r}, 'w')"
    calls = {
        "system": Calling("os", "system", touch), "posix": Calling("posix", "system", touch),
        "eval": Calling("builtins", "eval", source), "exec": Calling("builtins", "exec", source),
        "old-eval": Calling("__builtin__", "eval", source), "popen": Calling("subprocess", "Popen", ["touch", str(marker)]),
        "getattr": Calling("builtins", "getattr", "a", "join"), "open": Calling("io", "open", str(marker), "w"),
        "runstring": Calling("numpy.testing._private.utils", "runstring", source, {}),
        "fromfile": Calling("numpy", "fromfile", str(secret)), "memmap": Calling("numpy", "memmap", str(marker), "u1", "w+", 0, (9,)),
        "hub": Calling("torch.hub", "load", str(marker.parent), "x"), "torch-load": Calling("torch.serialization", "load", str(secret)),
        "from-file": Calling("torch", "from_file", str(secret)), "collect": Calling("torch.utils.collect_env", "run", touch),
        "runpy": Calling("runpy", "run_path", str(secret)), "timeit": Calling("timeit", "timeit", source), "pydoc": Calling("pydoc", "pipepager", "x", touch),
        "partial": Calling("functools", "partial", print), "pip": Calling("pip", "main", ["--version"]),
        "import": Calling("importlib", "import_module", "antigravity"), "yaml": Calling("yaml", "unsafe_load", f"!!python/object/apply:os.system ['{touch}']"),
        "lazy": Calling("scipy._lib._array_api", "np_compat", 1), "pandas": Calling("pandas", "read_pickle", str(secret)),
    }  # fmt: skip
    for name, call in calls.items():
        content = pickled(call)
        yield f"call-{name}.pth", content
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("archive/data.pkl", content)
            file.writestr("archive/version", "3\n")
        yield f"call-{name}-zip.pth", archive.getvalue()
    whole = io.BytesIO()
    torch.save({"model": {"patch_embed.weight": torch.zeros(4, 4), "note": "a"}}, whole)
    tensors = save({"patch_embed.weight": torch.zeros(4, 4)})
    draw = random.Random(f"checkpoints {seed}")
    for suffix, content in (("pth", whole.getvalue()), ("safetensors", tensors)):
        yield f"good.{suffix}", content
        for number in range(12):
            yield f"turned-{number}.{suffix}", mutated(content, draw)
        for number in range(4):
            yield f"cut-{number}.{suffix}", content[: draw.randrange(len(content))]
    for number, size in enumerate((0, 1, 2**40, 2**63, 2**64 - 1)):
        yield f"header-{number}.safetensors", struct.pack("<Q", size) + tensors[8:]
    header = b'{"a":{"dtype":"F32","shape":[4294967295,4294967295],"data_offsets":[0,64]}}'
    yield "shape.safetensors", struct.pack("<Q", len(header)) + header + bytes(64)
    deep = b"[" * 100_000
    yield "deep.safetensors", struct.pack("<Q", len(deep)) + deep
    yield "deep.pth", b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    yield "memo.pth", b"\x80\x02" + b"N" + b"r" + struct.pack("<I", 2**31) + b"."
    yield "bytes.pth", b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"."
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(400_000_000))
    yield "bomb.pth", bomb.getvalue()


def networks(secret: Path) -> Iterator[tuple[str, bytes]]:
    """ONNX files: none is one, but the one whose tensors lie in another file."""

    def field(number: int, value: bytes | int) -> bytes:
        if isinstance(value, int):
            return _varint(number << 3) + _varint(value)
        return _varint(number << 3 | 2) + _varint(len(value)) + value

    outside = b"".join(
        field(13, field(1, name) + field(2, value))
        for name, value in ((b"location", str(secret).encode()), (b"length", b"4"))
    )
    tensor = field(1, 1) + field(2, 1) + field(8, b"w") + outside + field(14, 1)
    shape = field(1, field(1, 1) + field(2, field(1, field(1, 1))))
    graph = (
        field(1, field(1, b"w") + field(2, b"y") + field(4, b"Identity")) + field(2, b"g") + field(5, tensor)
        + field(12, field(1, b"y") + field(2, shape))
    )  # fmt: skip
    model = field(1, 8) + field(7, graph) + field(8, field(2, 13))
    yield "outside.onnx", model
    yield "cut.onnx", model[: len(model) // 2]
    yield "length.onnx", b"\x3a\xff\xff\xff\xff\x7f" + model
    yield "empty.onnx", b""
    yield "noise.onnx", random.Random(1).randbytes(5000)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def pictures(seed: int) -> Iterator[tuple[str, bytes]]:
    """Portraits: cut short, bits turned, sizes that lie."""
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8))
    draw = random.Random(f"pictures {seed}")
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "PCX", "ICO"):
        out = io.BytesIO()
        noise.save(out, kind)
        content, suffix = out.getvalue(), kind.lower()
        yield f"cut.{suffix}", content[: len(content) // 2]
        for number in range(3):
            yield f"turned-{number}.{suffix}", mutated(content, draw)
    yield "bomb.png", _png(50_000, 50_000)
    yield "large.png", _png(13_000, 13_000)
    yield "flat.png", _png(2**31 - 1, 1)
    yield "eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(secret) run\n"
    yield "svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "empty.png", b""


def _png(width: int, height: int) -> bytes:
    """A black picture whose rows, where they are few enough, are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = bytes(width // 8 + 2) * height if width * height < 2**28 else bytes(1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    )  # fmt: skip
