-- name: series
-- Series of an asset, or one series, each with its newest reading.
select series.id, series.device_id, device.name, device.asset_id, device.site_id, series.metric, series.unit,
       device.expected_interval_s, latest.ts, latest.value
from series
join device on device.id = series.device_id
left join lateral (
  select reading.ts, reading.value
  from reading
  where reading.series_id = series.id
  order by reading.ts desc
  limit 1
) as latest on true
where (%(asset_id)s::bigint is null or device.asset_id = %(asset_id)s)
  and (%(series_id)s::integer is null or series.id = %(series_id)s)
  and series.id > %(after)s
order by series.id
limit %(limit)s

-- name: readings
-- Readings of a series in a stretch of time as two arrays: milliseconds since 1970, and values.
select coalesce(array_agg((extract(epoch from ts) * 1000)::double precision order by ts), '{}'),
       coalesce(array_agg(value order by ts), '{}')
from (
  select ts, value
  from reading
  where series_id = %(series_id)s
    and ts >= %(from)s
    and ts < %(to)s
  order by ts
  limit %(limit)s
) as found

-- name: pixels_raw
-- One row for each pixel that has readings: its first and last reading, and the extremes between, so no peak is lost.
with pixel as (
  select min(ts) as first_at, max(ts) as last_at, min(value) as lowest, max(value) as highest
  from reading
  where series_id = %(series_id)s
    and ts >= %(from)s
    and ts < %(to)s
  group by date_bin(%(pixel)s::interval, ts, %(origin)s::timestamptz)
)
select coalesce(array_agg((extract(epoch from pixel.first_at) * 1000)::double precision order by pixel.first_at), '{}'),
       coalesce(array_agg(first.value order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.lowest order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.highest order by pixel.first_at), '{}'),
       coalesce(array_agg(last.value order by pixel.first_at), '{}')
from pixel
join reading as first on first.series_id = %(series_id)s and first.ts = pixel.first_at
join reading as last on last.series_id = %(series_id)s and last.ts = pixel.last_at
where first.ts >= %(from)s
  and first.ts < %(to)s
  and last.ts >= %(from)s
  and last.ts < %(to)s

-- name: pixels_1m
-- The same from minutes; the time is the beginning of the pixel's first minute.
with pixel as (
  select min(bucket) as first_at, max(bucket) as last_at, min(lo) as lowest, max(hi) as highest
  from reading_1m
  where series_id = %(series_id)s
    and bucket >= %(from)s
    and bucket < %(to)s
  group by date_bin(%(pixel)s::interval, bucket, %(origin)s::timestamptz)
)
select coalesce(array_agg((extract(epoch from pixel.first_at) * 1000)::double precision order by pixel.first_at), '{}'),
       coalesce(array_agg(first.first_value order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.lowest order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.highest order by pixel.first_at), '{}'),
       coalesce(array_agg(last.last_value order by pixel.first_at), '{}')
from pixel
join reading_1m as first on first.series_id = %(series_id)s and first.bucket = pixel.first_at
join reading_1m as last on last.series_id = %(series_id)s and last.bucket = pixel.last_at
where first.bucket >= %(from)s
  and first.bucket < %(to)s
  and last.bucket >= %(from)s
  and last.bucket < %(to)s

-- name: pixels_1h
-- The same from hours.
with pixel as (
  select min(bucket) as first_at, max(bucket) as last_at, min(lo) as lowest, max(hi) as highest
  from reading_1h
  where series_id = %(series_id)s
    and bucket >= %(from)s
    and bucket < %(to)s
  group by date_bin(%(pixel)s::interval, bucket, %(origin)s::timestamptz)
)
select coalesce(array_agg((extract(epoch from pixel.first_at) * 1000)::double precision order by pixel.first_at), '{}'),
       coalesce(array_agg(first.first_value order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.lowest order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.highest order by pixel.first_at), '{}'),
       coalesce(array_agg(last.last_value order by pixel.first_at), '{}')
from pixel
join reading_1h as first on first.series_id = %(series_id)s and first.bucket = pixel.first_at
join reading_1h as last on last.series_id = %(series_id)s and last.bucket = pixel.last_at
where first.bucket >= %(from)s
  and first.bucket < %(to)s
  and last.bucket >= %(from)s
  and last.bucket < %(to)s

-- name: pixels_1d
-- The same from days.
with pixel as (
  select min(bucket) as first_at, max(bucket) as last_at, min(lo) as lowest, max(hi) as highest
  from reading_1d
  where series_id = %(series_id)s
    and bucket >= %(from)s
    and bucket < %(to)s
  group by date_bin(%(pixel)s::interval, bucket, %(origin)s::timestamptz)
)
select coalesce(array_agg((extract(epoch from pixel.first_at) * 1000)::double precision order by pixel.first_at), '{}'),
       coalesce(array_agg(first.first_value order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.lowest order by pixel.first_at), '{}'),
       coalesce(array_agg(pixel.highest order by pixel.first_at), '{}'),
       coalesce(array_agg(last.last_value order by pixel.first_at), '{}')
from pixel
join reading_1d as first on first.series_id = %(series_id)s and first.bucket = pixel.first_at
join reading_1d as last on last.series_id = %(series_id)s and last.bucket = pixel.last_at
where first.bucket >= %(from)s
  and first.bucket < %(to)s
  and last.bucket >= %(from)s
  and last.bucket < %(to)s

-- name: latest
-- The newest reading of each series of an asset, a site, or the sites that one may see; one look into the index each.
select series.id, (extract(epoch from latest.ts) * 1000)::double precision, latest.value
from series
join device on device.id = series.device_id
left join lateral (
  select reading.ts, reading.value
  from reading
  where reading.series_id = series.id
  order by reading.ts desc
  limit 1
) as latest on true
where (%(asset_id)s::bigint is null or device.asset_id = %(asset_id)s)
  and (%(sites)s::text[] is null or device.site_id = any(%(sites)s))
  and series.id > %(after)s
order by series.id
limit %(limit)s

-- name: latest_series
-- The series of an asset, a site, or the sites that one may see, as one array.
select coalesce(array_agg(id order by id), '{}')
from (
  select series.id
  from series
  join device on device.id = series.device_id
  where (%(asset_id)s::bigint is null or device.asset_id = %(asset_id)s)
    and (%(sites)s::text[] is null or device.site_id = any(%(sites)s))
    and series.id > %(after)s
  order by series.id
  limit %(limit)s
) as wanted

-- name: unrolled_since
-- Since when there are readings that no rollup has yet; null when every reading has its rollups.
select min(from_ts)
from rollup_due

-- name: last_days
-- The last day that each of these series has a rollup of, as arrays; those without are left out.
select coalesce(array_agg(wanted.id), '{}'), coalesce(array_agg(spoken.bucket), '{}')
from unnest(%(ids)s) as wanted (id)
cross join lateral (
  select rolled.bucket
  from reading_1d as rolled
  where rolled.series_id = wanted.id
  order by rolled.bucket desc
  limit 1
) as spoken

-- name: latest_within
-- The newest reading of each of these series in a stretch of time, as arrays; those without are left out.
-- Times are seconds since 1970: whole milliseconds would be worked out as numeric, at a tenth of the query's time.
select coalesce(array_agg(wanted.id), '{}'),
       coalesce(array_agg(date_part('epoch', latest.ts)), '{}'),
       coalesce(array_agg(latest.value), '{}')
from unnest(%(ids)s) as wanted (id)
cross join lateral (
  select reading.ts, reading.value
  from reading
  where reading.series_id = wanted.id
    and reading.ts >= %(from)s
    and reading.ts < %(to)s
  order by reading.ts desc
  limit 1
) as latest

-- name: latest_on_days
-- The newest reading of each of these series on a day of its own, as the same arrays.
select coalesce(array_agg(wanted.id), '{}'),
       coalesce(array_agg(date_part('epoch', latest.ts)), '{}'),
       coalesce(array_agg(latest.value), '{}')
from unnest(%(ids)s, %(days)s) as wanted (id, day)
cross join lateral (
  select reading.ts, reading.value
  from reading
  where reading.series_id = wanted.id
    and reading.ts >= wanted.day
    and reading.ts < wanted.day + interval '24 hours'
    and reading.ts >= %(from)s
    and reading.ts < %(to)s
  order by reading.ts desc
  limit 1
) as latest
