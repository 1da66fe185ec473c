"""Rows as files and frames: load, validate, split and simulate (pandas; no torch)."""
