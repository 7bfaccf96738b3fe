-- Readings on plain PostgreSQL: one partition a day, created before the first row of that day arrives.

create table reading (
  series_id integer not null,
  ts timestamptz not null,
  value double precision not null,
  primary key (series_id, ts) include (value)
) partition by range (ts);

-- The same name and result as TimescaleDB's function, so that every query reads alike on both.
create function time_bucket(width interval, ts timestamptz) returns timestamptz
  language sql immutable strict parallel safe
  return date_bin(width, ts, timestamptz '2000-01-03 00:00:00+00');
