"""Uni-AD: audio description from an interleaved sequence of words, characters and video (arXiv 2403.12922)."""
