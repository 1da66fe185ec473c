"""How good a detector is, measured through the bundle that serves."""
