"""Simulated equipment and people, and recorded data played as equipment. Speaks MQTT and HTTP only."""
