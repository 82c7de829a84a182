"""A participant with the same number for each agent that there is, the Butler, and the first epoch."""

import secrets

from django.db import migrations

SLICE = 500


def fill(apps, schema_editor):
    agent = apps.get_model("hub", "Agent")
    participant = apps.get_model("hub", "Participant")
    last = 0
    while rows := list(agent.objects.filter(id__gt=last).order_by("id")[:SLICE]):
        participant.objects.bulk_create(
            participant(id=row.id, kind="AGENT", name=row.display_name or row.username) for row in rows
        )
        last = rows[-1].id
    if schema_editor.connection.vendor == "postgresql":
        # Numbers that were given by hand are not counted by the sequence.
        schema_editor.execute(
            "SELECT setval(pg_get_serial_sequence('hub_participant', 'id'), "
            "(SELECT coalesce(max(id), 0) + 1 FROM hub_participant), false)"
        )
    participant.objects.create(kind="BUTLER", name="Butler")
    apps.get_model("hub", "HubState").objects.create(id=1, epoch=secrets.token_hex(4))


class Migration(migrations.Migration):
    dependencies = [("hub", "0002_messages")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
