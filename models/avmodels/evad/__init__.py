"""EVAD: who does what around a keyframe, in one network that drops tokens (ICCV 2023, arXiv 2304.08451)."""
