"""How the catalogue holds up with a hundred thousand offers."""
