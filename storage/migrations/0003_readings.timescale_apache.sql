-- Readings on TimescaleDB under its Apache licence: a hypertable of one-day chunks, without columnstore.

create table reading (
  series_id integer not null,
  ts timestamptz not null,
  value double precision not null,
  primary key (series_id, ts) include (value)
)
with (
  tsdb.hypertable,
  tsdb.partition_column = 'ts',
  tsdb.chunk_interval = '1 day',
  tsdb.create_default_indexes = false
);
