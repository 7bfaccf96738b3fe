"""Ready-made configurations: failure-mode libraries, policies and editions. Data only, no code."""
