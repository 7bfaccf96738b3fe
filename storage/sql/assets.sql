-- name: sites
-- Sites in the order of their ids, limited to those given.
select id, name, calendar_id, latitude, longitude
from site
where id > %(after)s
  and (%(sites)s::text[] is null or id = any(%(sites)s))
  and (%(name)s::text is null or name = %(name)s)
order by id
limit %(limit)s

-- name: insert_site
-- Add a site; returns nothing when its id is taken.
insert into site (id, name, calendar_id, latitude, longitude)
values (%(id)s, %(name)s, %(calendar_id)s, %(latitude)s, %(longitude)s)
on conflict (id) do nothing
returning id

-- name: asset_types
-- Every asset type.
select id, name_en, name_zh
from asset_type
order by id

-- name: assets
-- Assets in the order of their ids, with how many tickets are open and whether nothing of them waits to be judged.
select asset.id, asset.site_id, asset.tag, asset.name, asset.asset_type_id, area.name, asset.serial_number,
       asset.criticality, asset.latitude, asset.longitude, asset.requester_id, asset.commissioned_at,
       asset.created_at,
       (select count(*) from ticket where ticket.asset_id = asset.id and ticket.state <> 'closed'),
       not exists (select from evidence_due where evidence_due.asset_id = asset.id)
         and not exists (select from device where device.asset_id = asset.id and device.held)
from asset
left join area on area.id = asset.area_id
where asset.id > %(after)s
  and (%(id)s::bigint is null or asset.id = %(id)s)
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
  and (%(site)s::text is null or asset.site_id = %(site)s)
  and (%(tag)s::text is null or asset.tag = %(tag)s)
  and (%(name)s::text is null or asset.name = %(name)s)
  and (%(asset_type)s::text is null or asset.asset_type_id = %(asset_type)s)
order by asset.id
limit %(limit)s

-- name: site_of_asset
-- The site of one asset.
select site_id
from asset
where id = %(id)s

-- name: ensure_area
-- Find or make an area of a site.
insert into area (site_id, name)
values (%(site_id)s, %(name)s)
on conflict (site_id, name) do update
set name = excluded.name
returning id

-- name: insert_asset
-- Add an asset; returns nothing when its tag is taken at the site.
insert into asset (site_id, area_id, asset_type_id, tag, name, serial_number, criticality, latitude, longitude,
                   requester_id, commissioned_at, created_at)
values (%(site_id)s, %(area_id)s, %(asset_type_id)s, %(tag)s, %(name)s, %(serial_number)s, %(criticality)s,
        %(latitude)s, %(longitude)s, %(requester_id)s, %(commissioned_at)s, %(now)s)
on conflict (site_id, tag) do nothing
returning id

-- name: insert_installation
-- Note when a component of an asset was fitted.
insert into component_installation (asset_id, component, installed_at, source)
values (%(asset_id)s, %(component)s, %(installed_at)s, 'import')
on conflict do nothing

-- name: installations
-- When each component of an asset was last fitted.
select component, max(installed_at)
from component_installation
where asset_id = %(asset_id)s
group by component
order by component

-- name: devices
-- Devices in the order of their ids.
select id, site_id, name, asset_id, time_policy, expected_interval_s, online, last_seen_at, last_reading_at,
       last_sequence, created_at
from device
where id > %(after)s
  and (%(id)s::bigint is null or id = %(id)s)
  and (%(sites)s::text[] is null or site_id = any(%(sites)s))
  and (%(site)s::text is null or site_id = %(site)s)
  and (%(name)s::text is null or name = %(name)s)
  and (%(assets)s::bigint[] is null or asset_id = any(%(assets)s))
order by id
limit %(limit)s

-- name: insert_device
-- Register a device; returns nothing when its name is taken at the site.
insert into device (site_id, name, asset_id, time_policy, expected_interval_s, created_at)
values (%(site_id)s, %(name)s, %(asset_id)s, %(time_policy)s, %(expected_interval_s)s, %(now)s)
on conflict (site_id, name) do nothing
returning id

-- name: gaps
-- Sequence gaps of a device, newest first.
select id, after_sequence, before_sequence, missing, seen_at
from sequence_gap
where device_id = %(device_id)s
  and (%(before)s::bigint is null or id < %(before)s)
order by id desc
limit %(limit)s

-- name: live_counts
-- What operators watch: open tickets by state, open quarantine, the age of the newest message, the work waiting.
select (select json_object_agg(state, how_many)
        from (select state, count(*) as how_many from ticket where state <> 'closed' group by state) as open_ticket),
       (select count(*) from quarantine where replay_result is distinct from 'stored'),
       (select max(last_seen_at) from device),
       (select count(*) from evidence_due),
       (select count(*) from outbox where done_at is null and given_up_at is null),
       (select count(*) from outbox where given_up_at is not null),
       (select count(*) from device where online),
       (select count(*) from device)
