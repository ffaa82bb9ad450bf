"""The parts that layers are composed of; each knows its parameters."""
