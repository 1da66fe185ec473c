"""`uvicorn serving.main:app`."""

import gc
import sys

from kizashi.errors import ConfigurationError
from serving.app import create_app
from serving.processes import end_with_parent
from serving.settings import read_settings
from serving.verdicts.aside import SWITCH_SECONDS

try:
    app = create_app(read_settings())
except ConfigurationError as error:
    sys.exit(str(error))

end_with_parent()
sys.setswitchinterval(SWITCH_SECONDS)
gc.freeze()  # what was imported stays for good: no need to look at it again
app.state.later.then.append(gc.freeze)
