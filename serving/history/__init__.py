"""History: every verdict is kept, and an anomaly is kept before its answer leaves.

tables, migrations    what the database holds; database: SQLite or PostgreSQL, brought up to date
observer              hears of verdicts on the thread that made them, and hands records to the
writer                one thread of this worker, which commits them in groups
store                 what one group does to the database: block, states, trends, known ids;
many                  in few statements; clock, quality: late rows, stuck sensors
queries, export       what is read back; api: over HTTP
retention, upkeep     what is let go again, and what time alone changes; room: how much there is
labelled              which rows people's labels mean
"""
