"""The analytic memory model: pure functions over frozen dataclasses, no I/O."""
