-- name: bearings_of_asset
-- The bearings of an asset that are known from inside.
select component, metric, bpfo, bpfi, bsf, ftf, speed_rpm, elements, ball_diameter_mm, pitch_diameter_mm,
       contact_angle_deg
from bearing
where asset_id = %(asset_id)s
order by component

-- name: fitted_bearings
-- The fault orders of the bearings that the accelerometers of these assets hear.
select asset_id, metric, bpfo, bpfi, bsf, ftf, speed_rpm
from bearing
where asset_id = any(%(asset_ids)s)

-- name: ensure_component
-- Make the component that a bearing is, where the register does not have it yet.
insert into component (asset_id, code)
values (%(asset_id)s, %(component)s)
on conflict do nothing

-- name: put_bearing
-- Add a bearing or replace what is known of it.
insert into bearing (
  asset_id, component, metric, bpfo, bpfi, bsf, ftf, speed_rpm, elements, ball_diameter_mm, pitch_diameter_mm,
  contact_angle_deg
)
values (
  %(asset_id)s, %(component)s, %(metric)s, %(bpfo)s, %(bpfi)s, %(bsf)s, %(ftf)s, %(speed_rpm)s, %(elements)s,
  %(ball_diameter_mm)s, %(pitch_diameter_mm)s, %(contact_angle_deg)s
)
on conflict (asset_id, component) do update
set metric = excluded.metric,
    bpfo = excluded.bpfo,
    bpfi = excluded.bpfi,
    bsf = excluded.bsf,
    ftf = excluded.ftf,
    speed_rpm = excluded.speed_rpm,
    elements = excluded.elements,
    ball_diameter_mm = excluded.ball_diameter_mm,
    pitch_diameter_mm = excluded.pitch_diameter_mm,
    contact_angle_deg = excluded.contact_angle_deg

-- name: remove_bearing
-- Forget the inside of a bearing; the component stays.
delete from bearing
where asset_id = %(asset_id)s and component = %(component)s
