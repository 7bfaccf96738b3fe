"""The tests: each file reads as a list of sentences about one noun."""
