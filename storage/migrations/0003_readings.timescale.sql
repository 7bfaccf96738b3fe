-- Readings on TimescaleDB: a hypertable of one-day chunks, converted to columns after two days.

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
  tsdb.segmentby = 'series_id',
  tsdb.orderby = 'ts desc',
  tsdb.create_default_indexes = false
);
call remove_columnstore_policy('reading', if_exists => true);
call add_columnstore_policy('reading', after => interval '2 days', if_not_exists => true);
