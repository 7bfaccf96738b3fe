"""What the dialects of feeds share: topic templates, time formats, which fields are metrics, and settings checked."""
