"""Where an image was taken: its place, the climate zone of that place, and what it says about land cover in words."""
