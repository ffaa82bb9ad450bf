"""Evidence behind the memory model: traced and measured training steps and how they were made."""
