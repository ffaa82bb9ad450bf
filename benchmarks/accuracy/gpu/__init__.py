"""The training step for real: random weights of true shapes, on whatever CUDA card is present."""
