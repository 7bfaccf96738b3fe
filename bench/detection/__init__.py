"""The detection benchmark: labelled recordings, scored by event, beside controls that know nothing."""
