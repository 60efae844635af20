"""TVTSv2: video and text encoders from CLIP that learn order from transcripts (arXiv 2305.14173)."""
