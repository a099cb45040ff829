"""
The settings as the type checker sees them: nobody's environment, so that types never depend on one.

mypy's Django plugin loads settings to learn the models. Pointed at the real module it could only say "Error
constructing plugin instance" wherever a variable was missing.
"""

import os

from wallet_project.local import example

os.environ.update(example.production())
# Somebody's shell may have it from a home's env file, and production refuses it.
os.environ.pop("WALLET_DEMO", None)

from wallet_project.settings import *  # noqa: F403  (only now does the environment hold what it reads)
