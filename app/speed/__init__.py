"""How fast a run steps, how long its job takes and what that costs. Pure: no I/O beyond one bundled data file."""
