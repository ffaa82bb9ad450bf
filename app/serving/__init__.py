"""What serving a model takes: weights by format, cache by request, and how many requests a card holds. Pure."""
