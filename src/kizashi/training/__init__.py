"""From normal rows to a calibrated bundle."""
