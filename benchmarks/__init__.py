"""Measurements of the product: accuracy of its estimates and its load."""
