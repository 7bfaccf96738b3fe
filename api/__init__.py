"""The service's face: REST with problem+json, live events, and the pages."""
