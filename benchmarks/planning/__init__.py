"""How long the planner's questions take beside one estimate."""
