"""Benchmarks: ratios against a named ceiling measured in the same run."""
