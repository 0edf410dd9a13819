-- The inventory as a table that changes: Flink reads keys, values and tombstones of the compacted topic.
CREATE TABLE umbra_endpoints (
    endpoint_id STRING, host STRING, `method` STRING, route STRING, confirmed BOOLEAN, requests BIGINT, clients BIGINT,
    latency ROW<p50_ns BIGINT, p95_ns BIGINT, p99_ns BIGINT>, sensors ARRAY<STRING>,
    PRIMARY KEY (endpoint_id) NOT ENFORCED
) WITH (
    'connector' = 'upsert-kafka', 'topic' = 'umbra.endpoints', 'properties.bootstrap.servers' = 'localhost:9092',
    'properties.isolation.level' = 'read_committed', 'key.format' = 'raw', 'value.format' = 'json'
);

SELECT host, COUNT(*) AS endpoints, SUM(requests) AS requests FROM umbra_endpoints WHERE confirmed GROUP BY host;
