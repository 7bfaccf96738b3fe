-- History: what was measured, read fast and in order, for backtests.

-- name: copy_packed
-- One series' readings of a period in order of time, packed into one value: eight bytes of time, eight of the reading.
copy (
  select string_agg(timestamptz_send(ts) || float8send(value), '' order by ts)
  from reading
  where series_id = %(series_id)s
    and ts >= %(since)s::timestamptz
    and ts < %(until)s::timestamptz
) to stdout (format binary);
