"""The policy of tickets: one section a file, read and checked as a whole (`whole.py`)."""
