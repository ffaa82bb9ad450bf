"""Training a tiny model in several processes for real, to see what each rank holds."""
