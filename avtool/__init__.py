"""avtool makes films accessible to people who cannot see them."""

__version__ = "0.1.0"

from avtool.describe import describe

__all__ = ["describe"]
