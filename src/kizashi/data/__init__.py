"""Rows as files and frames: load, validate, split, stream and simulate (pandas; no torch)."""
