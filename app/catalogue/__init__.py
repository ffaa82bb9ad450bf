"""Models, GPUs and dated prices: kept in SQL, read from an immutable snapshot."""
