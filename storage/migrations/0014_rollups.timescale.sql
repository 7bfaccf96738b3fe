-- Rollups on TimescaleDB: continuous aggregates over one another, refreshed and converted to columns by policies (SPEC
-- E7). Retention is set by the jobs process, because how long is kept is policy.

-- n readings, their sum, lowest and highest, and the first and last of them.
create materialized view reading_1m with (tsdb.continuous, tsdb.materialized_only = true) as
select series_id, time_bucket('1 minute', ts) as bucket, count(value) as n, sum(value) as s, min(value) as lo,
       max(value) as hi, first(value, ts) as first_value, last(value, ts) as last_value
from reading
group by 1, 2
with no data;

create materialized view reading_1h with (tsdb.continuous, tsdb.materialized_only = true) as
select series_id, time_bucket('1 hour', bucket) as bucket, sum(n) as n, sum(s) as s, min(lo) as lo, max(hi) as hi,
       first(first_value, bucket) as first_value, last(last_value, bucket) as last_value
from reading_1m
group by 1, 2
with no data;

create materialized view reading_1d with (tsdb.continuous, tsdb.materialized_only = true) as
select series_id, time_bucket('1 day', bucket) as bucket, sum(n) as n, sum(s) as s, min(lo) as lo, max(hi) as hi,
       first(first_value, bucket) as first_value, last(last_value, bucket) as last_value
from reading_1h
group by 1, 2
with no data;

-- Live devices may send readings of up to seven days ago; each policy reaches back further. What retention keeps must
-- reach back further than every policy, or a refresh would empty the buckets of readings that were dropped.
select add_continuous_aggregate_policy('reading_1m', start_offset => interval '8 days',
  end_offset => interval '1 minute', schedule_interval => interval '1 minute');
select add_continuous_aggregate_policy('reading_1h', start_offset => interval '9 days',
  end_offset => interval '1 hour', schedule_interval => interval '15 minutes');
select add_continuous_aggregate_policy('reading_1d', start_offset => interval '12 days',
  end_offset => interval '1 day', schedule_interval => interval '1 hour');

-- By series, as charts read. Only what no policy refreshes any more.
alter materialized view reading_1m set (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series_id',
  timescaledb.orderby = 'bucket');
alter materialized view reading_1h set (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series_id',
  timescaledb.orderby = 'bucket');
alter materialized view reading_1d set (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series_id',
  timescaledb.orderby = 'bucket');
call add_columnstore_policy('reading_1m', after => interval '13 days', if_not_exists => true);
call add_columnstore_policy('reading_1h', after => interval '20 days', if_not_exists => true);
call add_columnstore_policy('reading_1d', after => interval '60 days', if_not_exists => true);

-- Stretches that the policies do not reach, for the jobs process to refresh: what was stored before there were rollups,
-- and readings that come when they are a week old already.
create table rollup_due (
  id bigint generated always as identity primary key,
  level text not null check (level in ('1m', '1h', '1d')),
  from_ts timestamptz not null,
  to_ts timestamptz not null,
  -- Charts look for the marks of a stretch by their beginning, so a mark has a greatest length.
  check (from_ts < to_ts and to_ts <= from_ts + interval '1 day')
);
create index rollup_due_by_time on rollup_due (from_ts);

insert into rollup_due (level, from_ts, to_ts)
select '1m', range_start, least(range_end, range_start + interval '1 day')
from timescaledb_information.chunks
where hypertable_name = 'reading';

create function leave_the_recent_to_policies() returns trigger language plpgsql as $$
begin
  if new.to_ts > now() - interval '7 days' then
    return null;
  end if;
  return new;
end
$$;
create trigger recent_marks_are_left_out before insert on rollup_due
  for each row execute function leave_the_recent_to_policies();

-- Before this time a level may be incomplete, because retention has dropped it.
create table level_kept (
  level text primary key check (level in ('raw', '1m', '1h', '1d')),
  kept_from timestamptz not null,
  -- What the retention policy was last set to; null where there is none.
  policy_days integer
);
insert into level_kept (level, kept_from)
values ('raw', '-infinity'), ('1m', '-infinity'), ('1h', '-infinity'), ('1d', '-infinity');

-- How far each level has been computed: charts read what is newer from a finer level.
create view rollup_reach (level, until) as
select '1m', coalesce(max(bucket) + interval '1 minute', '-infinity') from reading_1m
union all
select '1h', coalesce(max(bucket) + interval '1 hour', '-infinity') from reading_1h
union all
select '1d', coalesce(max(bucket) + interval '1 day', '-infinity') from reading_1d;

create view level_size (level, bytes) as
select 'raw', hypertable_size('reading')
union all
select '1m', hypertable_size('reading_1m')
union all
select '1h', hypertable_size('reading_1h')
union all
select '1d', hypertable_size('reading_1d');

-- Which files of the job queue's own schema have been run (storage/job_schema.py).
create table job_schema (
  file text primary key,
  applied_at timestamptz not null
);
