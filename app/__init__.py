"""VRAM Fit: what a fine-tuning run needs, on which card, for how long and for how much."""

__version__ = "0.1.0"
