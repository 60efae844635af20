"""What was perceived before is read again without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg

RUN = """
import sys
from avtool import describe
describe(sys.argv[1], sys.argv[2], work=sys.argv[3], end=1_000_000)
print(*sorted({"torch", "onnxruntime", "dlib", "scipy.optimize", "faster_whisper"} & set(sys.modules)))
"""
CAST = Path(__file__).parents[1] / "examples" / "cast.json"


def test_second_run_loads_no_network(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    made = ("-f", "lavfi", "-i", "testsrc2=s=160x90:d=1", film)
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *map(str, made)], check=True)
    loaded = [
        subprocess.run(
            [sys.executable, "-c", RUN, str(film), str(CAST), str(tmp_path / "work")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert "torch" in loaded[0]
    assert loaded[1] == []
