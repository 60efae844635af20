"""What was perceived, told and left out, to look at: one HTML page, or its film strip as a picture."""
