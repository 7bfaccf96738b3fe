"""What ingest counts, for Prometheus. Every outcome of a message has its counter."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("wearsight_ingest_messages", "Messages stored or set aside.")
READINGS = Counter("wearsight_ingest_readings", "Readings stored.")
REPEATED = Counter("wearsight_ingest_readings_repeated", "Readings that were there already.")
RETAINED = Counter(
    "wearsight_ingest_retained_without_time", "Parts of retained messages passed over, for nobody knows their time."
)
LATE = Counter("wearsight_ingest_readings_late", "Readings stored but not judged, because newer ones had been.")
EVENTS = Counter("wearsight_ingest_events", "Events stored.")
QUARANTINED = Counter("wearsight_ingest_quarantined", "Messages set aside.", ["reason"])
REPLAYED = Counter("wearsight_ingest_replayed", "Messages tried again out of quarantine.", ["result"])
GAPS = Counter("wearsight_ingest_sequence_gaps", "Gaps seen in devices' sequence numbers.")
CHANGES = Counter("wearsight_ingest_finding_changes", "Findings opened or cleared.")
JUDGING_FAILED = Counter("wearsight_ingest_judging_failures", "Times that stored readings could not be judged.")
CONNECTS = Counter("wearsight_ingest_connects", "Connections to the broker.")
DATABASE_RETRIES = Counter("wearsight_ingest_database_retries", "Batches tried again because the database failed.")
BATCH_SECONDS = Histogram(
    "wearsight_ingest_batch_seconds",
    "Time from taking a batch to its commit.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)
QUEUED = Gauge("wearsight_ingest_queued_messages", "Messages received and waiting to be stored.", ["lane"])
QUEUED_BYTES = Gauge("wearsight_ingest_queued_bytes", "Bytes of payload received and waiting to be stored.", ["lane"])
LAG = Gauge("wearsight_ingest_lag_seconds", "Age of the oldest message that was received and is not stored yet.")
PASSED_OVER = Counter("wearsight_ingest_passed_over", "Messages that another slice has heard and stores.")
BROKER_DROPPED = Counter(
    "wearsight_ingest_broker_dropped",
    "Messages that the broker says it dropped since its start, for any of its clients (Mosquitto tells).",
)
HELD = Gauge("wearsight_ingest_held_devices", "Devices whose readings are stored but wait to be judged in order.")
PROCESSED_AT = Gauge("wearsight_ingest_last_processed_timestamp_seconds", "When the last message was stored.")
