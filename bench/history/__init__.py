"""What the operators' history costs and keeps; `python -m bench.history` runs it."""
