-- Events and inventory in ClickHouse. Kafka tables give JSON as text; views take out what is asked for.
CREATE TABLE umbra_events_queue (raw String) ENGINE = Kafka
SETTINGS kafka_broker_list = 'localhost:9092', kafka_topic_list = 'umbra.events', kafka_group_name = 'clickhouse',
         kafka_format = 'JSONAsString';

-- An event that was sent again has the same event_id: the newer copy takes the place of the older.
CREATE TABLE umbra_events (
    event_id String, time DateTime64(9, 'UTC'), endpoint_id String, host String, method LowCardinality(String), route String,
    status UInt16, duration_ns UInt64
) ENGINE = ReplacingMergeTree ORDER BY (toDate(time), event_id);

CREATE MATERIALIZED VIEW umbra_events_feed TO umbra_events AS
SELECT JSONExtractString(raw, 'event_id') AS event_id,
       parseDateTime64BestEffort(JSONExtractString(raw, 'time'), 9, 'UTC') AS time,
       JSONExtractString(raw, 'api', 'endpoint_id') AS endpoint_id,
       JSONExtractString(raw, 'url', 'domain') AS host,
       JSONExtractString(raw, 'http', 'request', 'method') AS method,
       JSONExtractString(raw, 'http', 'route') AS route,
       toUInt16(JSONExtractUInt(raw, 'http', 'response', 'status_code')) AS status,
       JSONExtractUInt(raw, 'timing', 'duration_ns') AS duration_ns
FROM umbra_events_queue;

-- Share of server errors and latency of each endpoint, of the last hour.
SELECT endpoint_id, any(host), any(route), count() AS requests, countIf(status >= 500) / count() AS errors,
       quantile(0.95)(duration_ns) / 1e6 AS p95_ms
FROM umbra_events FINAL WHERE time > now() - INTERVAL 1 HOUR GROUP BY endpoint_id ORDER BY errors DESC;
