import gc

from django.apps import AppConfig


class KernelConfig(AppConfig):
    name = "wallet_project.kernel"
    label = "kernel"
    # What of it the admin shows.
    verbose_name = "Events"

    def ready(self) -> None:
        from wallet_project.kernel import checks  # noqa: F401  (registers the start-up checks)

        # What is loaded is no garbage, and is never looked through again, nor copied into a worker's children for that.
        gc.freeze()
        gc.enable()
