"""SNCLR: images learned without labels, their nearest neighbours counting as positives in part."""
