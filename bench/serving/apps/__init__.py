"""What the servers run, each in its own environment."""
