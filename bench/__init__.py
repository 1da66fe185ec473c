"""What the project's figures come from; each is `python -m bench.NAME`, and has --help."""
