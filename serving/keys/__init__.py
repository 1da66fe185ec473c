"""Keys: who may ask, and for what.

key         what a key is: made once, known afterwards by a salted hash; its scopes
file        the file of keys: read, and changed whole
held        what a worker holds of it: found in microseconds, and never older than about a second
__main__    python -m serving.keys create | list | revoke

docs/keys.md is the guide.
"""
