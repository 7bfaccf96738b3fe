"""From readings to findings to predictions: compiled scalar kernels, one detector a file, and their fusion.

Start at ``catalogue.py`` for the detectors, ``bank.py`` for how they run, ``fusion.py`` for what becomes of findings.
"""
