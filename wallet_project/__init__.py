"""The roof and the basement of the wallet: settings, urls and celery above, kernel below."""
