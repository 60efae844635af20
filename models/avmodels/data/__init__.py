"""Reading clips, and the transforms of pictures and sound that systems share."""
