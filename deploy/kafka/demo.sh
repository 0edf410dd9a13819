#!/bin/sh
# `make demo-kafka`: a real Kafka, the topics, a capture replayed into them, and what a consumer reads. Stops Kafka at the end.
set -eu
cd "$(dirname "$0")/../.."
umbra=${CARGO_TARGET_DIR:-target}/release/umbra
work=$(mktemp -d)
trap 'deploy/kafka/kafka.sh stop "$work/kafka"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

echo "== a broker on loopback"
deploy/kafka/kafka.sh start "$work/kafka" 1 29092
cat >"$work/umbra.toml" <<END
[state]
directory = "$work/state"
[kafka]
brokers = ["127.0.0.1:29092"]
partitions = 3
replication = 1
END
echo "== topics"
"$umbra" topics create -c "$work/umbra.toml"
"$umbra" check --online -c "$work/umbra.toml"
echo "== replay into Kafka"
"$umbra" replay testdata/demo/capture.pcap -c "$work/umbra.toml" --kafka
echo "== the first three events, as Kafka's own consumer reads them: headers, key, value"
deploy/kafka/kafka.sh tool console-consumer --bootstrap-server 127.0.0.1:29092 --topic umbra.events --from-beginning \
    --max-messages 3 --timeout-ms 20000 --formatter-property print.key=true --formatter-property print.headers=true 2>/dev/null
echo "== the inventory: rows of the sensor, rolled up into umbra.endpoints and read back"
"$umbra" rollup --once -c "$work/umbra.toml"
"$umbra" inventory --from kafka -c "$work/umbra.toml"
