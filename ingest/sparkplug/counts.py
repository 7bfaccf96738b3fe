"""What is counted of Sparkplug feeds, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter

SKIPPED = Counter(
    "wearsight_sparkplug_skipped_metrics", "Metrics passed over by rule, their message being used.", ["why"]
)
LOST = Counter(
    "wearsight_sparkplug_lost_messages", "Messages of edge nodes that never came, by their sequence numbers."
)
REBIRTHS = Counter("wearsight_sparkplug_rebirth_requests", "Requests to edge nodes to be born again.")
STALE_DEATHS = Counter("wearsight_sparkplug_stale_deaths", "Deaths of sessions that were over, or never known.")
