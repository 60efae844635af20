"""TagAlign: patches of a picture aligned with words (arXiv 2312.14149)."""
