"""All of PostgreSQL and TimescaleDB: the schema, the named queries, and one repository per noun."""
