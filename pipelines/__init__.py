"""One thin entry point per stage; each is `python -m pipelines.NAME`, and has --help."""
