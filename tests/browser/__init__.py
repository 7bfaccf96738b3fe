"""Tests that drive the console in a real browser."""
