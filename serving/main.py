"""`uvicorn serving.main:app`."""

import gc
import sys

from kizashi.errors import ConfigurationError
from serving.app import create_app
from serving.settings import read_settings

GARBAGE_THRESHOLDS = (50_000, 20, 50)
"""How much is made anew before the collector looks for what only refers to itself. A request leaves
next to nothing of that kind, and looking after every 700 objects costs a tenth of its time."""

try:
    app = create_app(read_settings())
except ConfigurationError as error:
    sys.exit(str(error))

gc.set_threshold(*GARBAGE_THRESHOLDS)
gc.freeze()  # what was imported stays for good: no need to look at it again
app.state.later.then.append(gc.freeze)
