#!/bin/sh
# Makes the topics that are not there yet, on the broker of docker-compose.yml. Safe to repeat.
set -eu

make() {
    /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVER" --create --if-not-exists \
        --topic "$1" --partitions "$2" --replication-factor 1 --config "retention.ms=$3"
}

HOUR=3600000
# Half of WALLET_OUTBOX_KEEP_DAYS: an event that outlived the note that it was taken in would be taken in anew.
make wallet.events 12 $((84 * HOUR))
make wallet.events.dead.notifications 1 $((30 * 24 * HOUR))
make wallet.events.dead.webhooks 1 $((30 * 24 * HOUR))
