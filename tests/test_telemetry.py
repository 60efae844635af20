"""Nothing tells its makers that it is used."""

import os
import subprocess
import sys
from pathlib import Path

# Silero's voice activity stands on ONNX Runtime, whose telemetry leaves a file `.ses` as soon as it is imported.
LISTEN = "import avtool; from avtool.perceive import voice_activity; voice_activity._session()"
QUIET = ("ORT_DISABLE_TELEMETRY", "PYANNOTE_METRICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")


def test_onnx_runtime_begins_no_session(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if name not in QUIET}
    subprocess.run([sys.executable, "-c", LISTEN], check=True, env=own | {"TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
