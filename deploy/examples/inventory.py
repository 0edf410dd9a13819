#!/usr/bin/env python3
"""Prints the inventory that is in Kafka: python3 inventory.py BROKERS [PREFIX]   (pip install confluent-kafka)"""
import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


def read_to_end(brokers, topic):
    """The newest value of each key of a compacted topic; tombstones take keys out."""
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "umbra-example",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    })
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    waiting, values = set(partitions), {}
    while waiting:
        message = consumer.poll(30)
        if message is None:
            raise TimeoutError(f"nothing more of {topic}")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise RuntimeError(message.error())
            waiting.discard(message.partition())
        elif message.value() is None:
            values.pop(message.key(), None)
        else:
            values[message.key()] = json.loads(message.value())
    consumer.close()
    return values


def main():
    brokers, prefix = sys.argv[1], (sys.argv[2:] or ["umbra"])[0]
    endpoints = read_to_end(brokers, f"{prefix}.endpoints").values()
    for row in sorted(endpoints, key=lambda row: (row["host"], row["route"], row["method"])):
        p95 = row.get("latency", {}).get("p95_ns")
        print(row["host"], row["method"], row["route"], row["requests"], row["clients"],
              "-" if p95 is None else f"{p95 / 1e6:.1f} ms", sep="\t")


if __name__ == "__main__":
    main()
