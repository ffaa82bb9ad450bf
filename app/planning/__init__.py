"""The planner: ways to do a run, and which are worth having. Pure."""
