"""Speed Co-Augmentation: sight and sound learn from each other, played at several speeds (arXiv 2309.13942)."""
