"""How fast the service and its core are, against something to compare with, in one run."""
