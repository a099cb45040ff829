#!/bin/sh
# Makes the topics that are not there yet, on the broker of docker-compose.yml. Safe to repeat.
set -eu

make() {
    /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVER" --create --if-not-exists \
        --topic "$1" --partitions "$2" --replication-factor 1 --config "retention.ms=$3"
}

DAY=86400000
make wallet.events 12 $((7 * DAY))
make wallet.events.dead.notifications 1 $((30 * DAY))
make wallet.events.dead.webhooks 1 $((30 * DAY))
