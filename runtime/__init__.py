"""The composition root: settings, clock, embedded services, processes and the command line."""
