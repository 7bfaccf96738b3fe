-- name: copy_readings
-- Store readings that are known to be new: the fastest way, refused whole when one exists already.
copy reading (series_id, ts, value)
from stdin (format binary)

-- name: insert_readings
-- Store readings of which some may exist already; those stay as they are (SPEC E4).
insert into reading (series_id, ts, value)
select fresh.series_id, fresh.ts, fresh.value
from unnest(%(series_id)s, %(ts)s, %(value)s) as fresh (series_id, ts, value)
on conflict do nothing

-- name: newest
-- The time of the newest reading of each series, in microseconds since 1970; series without readings are left out.
select wanted.series_id, (extract(epoch from latest.ts) * 1000000)::bigint
from unnest(%(series_id)s) as wanted (series_id)
cross join lateral (
  select reading.ts
  from reading
  where reading.series_id = wanted.series_id
  order by reading.ts desc
  limit 1
) as latest

-- name: copy_readings_after
-- Readings newer than each series' own time, in series-time order, at most so many of each series.
copy (
  select wanted.series_id, later.ts, later.value
  from unnest(%(series_id)s::integer[], %(after)s::timestamptz[]) as wanted (series_id, after)
  cross join lateral (
    select reading.ts, reading.value
    from reading
    where reading.series_id = wanted.series_id
      and reading.ts > wanted.after
    order by reading.ts
    limit %(limit)s
  ) as later
  order by wanted.series_id, later.ts
) to stdout (format binary)
