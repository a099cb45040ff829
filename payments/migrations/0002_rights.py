"""The application may write down what the gateway says, and never take it back."""

from django.db import migrations

from wallet_project.kernel.database import grant_only


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial"), ("kernel", "0001_roles")]

    operations = [
        grant_only(
            "payments_gatewayorder",
            "SELECT, INSERT, UPDATE (order_id, state, lease, leased_until, check_at, checks)",
        ),
        grant_only(
            "payments_paymentattempt",
            "SELECT, INSERT, UPDATE (status, method, error_code, error_reason, credited_by_id, last_seen_at)",
        ),
        grant_only("payments_webhookevent", "SELECT, INSERT, UPDATE (due_at, tries, processed_at, outcome)"),
    ]
