"""Channels: one file each, one method each."""
