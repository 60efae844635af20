"""GroupMixFormer (arXiv 2311.15157): a backbone in which tokens and groups of tokens attend to one another."""
