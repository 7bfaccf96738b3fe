"""One decoder a file: bytes in, readings and events out, or a named refusal."""
