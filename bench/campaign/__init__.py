"""Fault injection: what the service promises about messages, tried with real kills (SPEC E4, E5)."""
