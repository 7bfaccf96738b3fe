"""Outbox to channels: every message is sent at least once, or given up as a row that people see."""
