"""`python -m payments.sandbox`: the sandbox without Django."""

import logging
import os
import sys

from payments.sandbox.configuration import Configuration, ConfigurationError
from payments.sandbox.server import CannotStart, serve

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
try:
    serve(Configuration.from_environment(os.environ))
except (ConfigurationError, CannotStart) as error:
    sys.exit(f"sandbox: {error}")
