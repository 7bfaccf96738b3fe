-- name: mark_due
-- Remember stretches of time whose buckets of a level must be computed anew.
insert into rollup_due (level, from_ts, to_ts)
select %(level)s, stretch.from_ts, stretch.to_ts
from unnest(%(from_ts)s, %(to_ts)s) as stretch (from_ts, to_ts)

-- name: try_lock
-- One process at a time computes rollups or drops what they are computed from; the lock ends with the transaction.
select pg_try_advisory_xact_lock(7306003)

-- name: take_marks
-- Take the oldest marks of a level whose last bucket is over, as microseconds since 1970.
delete from rollup_due
where id in (
  select id
  from rollup_due
  where level = %(level)s
    and to_ts <= %(settled)s
  order by id
  limit %(limit)s
  for update skip locked
)
returning (extract(epoch from from_ts) * 1000000)::bigint, (extract(epoch from to_ts) * 1000000)::bigint

-- name: allow_time
-- A backfill may take longer than a request.
set local statement_timeout = '15min'

-- name: roll_1m
-- Compute the minutes of a stretch from the readings.
-- Readings are only ever added, so what is there can only grow: a smaller count says that retention has dropped what the
-- bucket was made of, and then it keeps all but new extremes.
insert into reading_1m as held (series_id, bucket, n, s, lo, hi, first_value, last_value)
select series_id, time_bucket('1 minute', ts), count(*), sum(value), min(value), max(value),
       (array_agg(value order by ts))[1], (array_agg(value order by ts))[count(*)]
from reading
where ts >= %(from)s
  and ts < %(to)s
group by 1, 2
on conflict (series_id, bucket) do update
set n = greatest(excluded.n, held.n),
    s = case when excluded.n >= held.n then excluded.s else held.s end,
    lo = least(excluded.lo, held.lo),
    hi = greatest(excluded.hi, held.hi),
    first_value = case when excluded.n >= held.n then excluded.first_value else held.first_value end,
    last_value = case when excluded.n >= held.n then excluded.last_value else held.last_value end
where excluded.n > held.n or excluded.lo < held.lo or excluded.hi > held.hi

-- name: roll_1h
-- Compute the hours of a stretch from the minutes, by the same rule.
insert into reading_1h as held (series_id, bucket, n, s, lo, hi, first_value, last_value)
select series_id, time_bucket('1 hour', bucket), sum(n), sum(s), min(lo), max(hi),
       (array_agg(first_value order by bucket))[1], (array_agg(last_value order by bucket))[count(*)]
from reading_1m
where bucket >= %(from)s
  and bucket < %(to)s
group by 1, 2
on conflict (series_id, bucket) do update
set n = greatest(excluded.n, held.n),
    s = case when excluded.n >= held.n then excluded.s else held.s end,
    lo = least(excluded.lo, held.lo),
    hi = greatest(excluded.hi, held.hi),
    first_value = case when excluded.n >= held.n then excluded.first_value else held.first_value end,
    last_value = case when excluded.n >= held.n then excluded.last_value else held.last_value end
where excluded.n > held.n or excluded.lo < held.lo or excluded.hi > held.hi

-- name: roll_1d
-- Compute the days of a stretch from the hours, by the same rule.
insert into reading_1d as held (series_id, bucket, n, s, lo, hi, first_value, last_value)
select series_id, time_bucket('1 day', bucket), sum(n), sum(s), min(lo), max(hi),
       (array_agg(first_value order by bucket))[1], (array_agg(last_value order by bucket))[count(*)]
from reading_1h
where bucket >= %(from)s
  and bucket < %(to)s
group by 1, 2
on conflict (series_id, bucket) do update
set n = greatest(excluded.n, held.n),
    s = case when excluded.n >= held.n then excluded.s else held.s end,
    lo = least(excluded.lo, held.lo),
    hi = greatest(excluded.hi, held.hi),
    first_value = case when excluded.n >= held.n then excluded.first_value else held.first_value end,
    last_value = case when excluded.n >= held.n then excluded.last_value else held.last_value end
where excluded.n > held.n or excluded.lo < held.lo or excluded.hi > held.hi

-- name: marks_beyond_policies
-- The oldest marks, on a server whose policies do the rest: id, and the stretch in microseconds since 1970.
select id, (extract(epoch from from_ts) * 1000000)::bigint, (extract(epoch from to_ts) * 1000000)::bigint
from rollup_due
order by id
limit %(limit)s

-- name: refresh_aggregate
-- Have TimescaleDB compute whole buckets of a stretch; it commits by itself, so not inside a transaction.
call refresh_continuous_aggregate({view}, {start}, {end})

-- name: forget_marks
-- Take away marks that have been seen to.
delete from rollup_due
where id = any(%(ids)s)

-- name: stale
-- Stretches near [from, to) that a level has not been computed for, in microseconds since 1970; joined by the hour.
select level, (extract(epoch from min(from_ts)) * 1000000)::bigint, (extract(epoch from max(to_ts)) * 1000000)::bigint
from rollup_due
where from_ts > %(from)s::timestamptz - interval '1 day'
  and from_ts < %(to)s
  and to_ts > %(from)s
group by level, date_bin('1 hour', from_ts, timestamptz '2000-01-01 00:00:00+00')

-- name: known
-- For each level: from when on it is kept, and until when it has been computed; microseconds between 1970 and 2200.
select level_kept.level,
       (extract(epoch from greatest(least(kept_from, '2200-01-01'), '1970-01-01')) * 1000000)::bigint,
       (extract(epoch from greatest(least(until, '2200-01-01'), '1970-01-01')) * 1000000)::bigint
from level_kept
left join rollup_reach on rollup_reach.level = level_kept.level

-- name: waiting
-- How many marks wait, by level.
select level, count(*)
from rollup_due
group by level
