from django.apps import AppConfig


class KernelConfig(AppConfig):
    name = "wallet_project.kernel"
    label = "kernel"
    verbose_name = "Kernel"

    def ready(self) -> None:
        from wallet_project.kernel import checks  # noqa: F401  (registers the start-up checks)
