"""What every request needs before anybody knows what it asks.

connections      a client's connection, and the fast road that begins there; patience: slow clients
requests         ids, bodies, headers; whole_bodies, spool: where bodies wait
accept           which format an answer has
observed         each request measured and limited
security         what browsers are told of pages
"""
