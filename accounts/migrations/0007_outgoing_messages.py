"""The table of outgoing messages has a model named for what it holds. The table keeps its name: no SQL is run."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_factor_settles")]

    operations = [
        # In this order: the new name of the model then finds its table named already, and leaves it alone.
        migrations.AlterModelTable(name="verification", table="accounts_verification"),
        migrations.RenameModel(old_name="Verification", new_name="OutgoingMessage"),
    ]
