"""How a worker comes by the detector that it serves, and by the next one.

follower         the process that follows the model and moves the pointer; sources: from where;
                 follower_lock: one for each host
cache            bundles and pointers on disk: what is served, and what its follower knows
detectors        what a worker holds: the detector that the pointer names
catalogue        the versions that the registry has, for people
"""
