-- Rollups on TimescaleDB under its Apache licence, which has no continuous aggregates: hypertables of the same names and
-- columns, kept up by the jobs process as on plain PostgreSQL (SPEC E7).

-- n readings, their sum, lowest and highest, and the first and last of them. The values of a chart are in the index, so
-- that drawing a year does not visit a page of the table for every hour.
create table reading_1m (
  series_id integer not null,
  bucket timestamptz not null,
  n bigint not null,
  s double precision not null,
  lo double precision not null,
  hi double precision not null,
  first_value double precision not null,
  last_value double precision not null,
  primary key (series_id, bucket) include (lo, hi, first_value, last_value)
)
with (
  tsdb.hypertable,
  tsdb.partition_column = 'bucket',
  tsdb.chunk_interval = '28 days',
  tsdb.create_default_indexes = false
);

create table reading_1h (
  series_id integer not null,
  bucket timestamptz not null,
  n bigint not null,
  s double precision not null,
  lo double precision not null,
  hi double precision not null,
  first_value double precision not null,
  last_value double precision not null,
  primary key (series_id, bucket) include (lo, hi, first_value, last_value)
)
with (
  tsdb.hypertable,
  tsdb.partition_column = 'bucket',
  tsdb.chunk_interval = '364 days',
  tsdb.create_default_indexes = false
);

-- Few and kept for ever: not worth chunks.
create table reading_1d (
  series_id integer not null,
  bucket timestamptz not null,
  n bigint not null,
  s double precision not null,
  lo double precision not null,
  hi double precision not null,
  first_value double precision not null,
  last_value double precision not null,
  primary key (series_id, bucket) include (lo, hi, first_value, last_value)
);

-- Stretches whose buckets of this level must be computed anew. Every transaction that stores readings adds rows, so
-- nobody waits for anybody; the refresher takes rows and stores the buckets in one transaction.
create table rollup_due (
  id bigint generated always as identity primary key,
  level text not null check (level in ('1m', '1h', '1d')),
  from_ts timestamptz not null,
  to_ts timestamptz not null,
  -- Charts look for the marks of a stretch by their beginning, so a mark has a greatest length.
  check (from_ts < to_ts and to_ts <= from_ts + interval '1 day')
)
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = 2000);
create index rollup_due_by_time on rollup_due (from_ts);

-- Readings that were stored before there were rollups.
insert into rollup_due (level, from_ts, to_ts)
select '1m', range_start, least(range_end, range_start + interval '1 day')
from timescaledb_information.chunks
where hypertable_name = 'reading';

-- Before this time a level may be incomplete, because retention has dropped it.
create table level_kept (
  level text primary key check (level in ('raw', '1m', '1h', '1d')),
  kept_from timestamptz not null
);
insert into level_kept (level, kept_from)
values ('raw', '-infinity'), ('1m', '-infinity'), ('1h', '-infinity'), ('1d', '-infinity');

-- How far each level has been computed, marks apart. Here marks say everything.
create view rollup_reach (level, until) as
values ('1m', timestamptz 'infinity'), ('1h', timestamptz 'infinity'), ('1d', timestamptz 'infinity');

create view level_size (level, bytes) as
select 'raw', hypertable_size('reading')
union all
select '1m', hypertable_size('reading_1m')
union all
select '1h', hypertable_size('reading_1h')
union all
select '1d', pg_total_relation_size('reading_1d');

-- PostgreSQL 18 finds a stretch of time in the primary key by skipping from series to series; before it needs this.
do $$
begin
  if current_setting('server_version_num')::integer < 180000 then
    create index reading_by_time on reading using brin (ts);
    create index reading_1m_by_time on reading_1m using brin (bucket);
    create index reading_1h_by_time on reading_1h using brin (bucket);
  end if;
end
$$;

-- Which files of the job queue's own schema have been run (storage/job_schema.py).
create table job_schema (
  file text primary key,
  applied_at timestamptz not null
);
