"""What the service tells a Prometheus server: GET /metrics.

families     every metric: its name, meaning, labels and how the workers' values become one
counts       what one worker has counted; requests only add numbers here
shared       the folder in which the workers of one service leave their counts for each other
publishing   flushes a worker's counts, and measures its event loop on the way
exposition   all of it as text, by prometheus_client
endpoint     GET /metrics

A value of prometheus_client costs a request more than this whole layer does, and its mode for
several processes is chosen for a whole process by its environment, keeps the counts of every
process that ever was in files of their own, and has to be told of each that died. So requests add
to plain numbers, each worker writes its own down twice a second, and whichever worker is asked adds
them up.
"""
