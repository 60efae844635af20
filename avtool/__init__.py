"""avtool makes films accessible to people who cannot see them."""

import os

__version__ = "0.1.0"

# Read when OpenMP is loaded: threads that wait sleep, for decoder, networks and Whisper share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Packages that tell their makers of their use unless they are told not to; read when they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime, which opens connections to Microsoft
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")  # pyannote.audio, under whisperx
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from avtool.describe import describe

__all__ = ["describe"]
