"""
The roof and the basement of the wallet: settings, urls and celery above, kernel below.

Importing it names the Celery application, so that a task is published to our broker from anywhere.
"""

from wallet_project.celery import app as celery_app

__all__ = ["celery_app"]
