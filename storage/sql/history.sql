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

-- name: series_to_replay
-- The series of an asset's devices, each with its device and whether silence of that is judged, as live.
select series.id, series.metric, series.device_id,
       device.expected_interval_s is not null and device.time_policy <> 'recorded'
from series
join device on device.id = series.device_id
where device.asset_id = %(asset_id)s
order by series.id;

-- name: repairs_of_asset
-- Which failure mode was repaired when: tickets closed as repaired, by the time the work was finished.
select mode.code, ticket.work_finished_at
from ticket
join failure_mode as mode on mode.id = coalesce(ticket.found_failure_mode_id, ticket.failure_mode_id)
where ticket.asset_id = %(asset_id)s
  and ticket.outcome = 'repaired'
  and ticket.work_finished_at >= %(since)s
  and ticket.work_finished_at < %(until)s
order by ticket.work_finished_at, mode.code;

-- name: fittings_of_asset
-- When which component was fitted, and who says so, until the end of the period.
select component, installed_at, source
from component_installation
where asset_id = %(asset_id)s
  and installed_at < %(until)s
order by installed_at, component;

-- name: machine_to_replay
-- The name of an asset.
select tag
from asset
where id = %(asset_id)s;
