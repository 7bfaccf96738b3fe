"""Sparkplug B 3.0 (ISO/IEC 20237) as a host hears it: bytes, topics, edge nodes and their aliases, STATE."""
