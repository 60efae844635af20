"""VideoMAE V2: a plain video transformer, pre-trained with two masks (CVPR 2023, arXiv 2303.16727)."""
