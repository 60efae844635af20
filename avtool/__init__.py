"""avtool makes films accessible to people who cannot see them."""

import os

__version__ = "0.1.0"

# Read when OpenMP is loaded: threads that wait sleep, for decoder, networks and Whisper share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from avtool.describe import describe

__all__ = ["describe"]
