-- name: asset_types
-- Every asset type.
select id, name_en, name_zh
from asset_type
order by id

-- name: assets
-- Assets in the order of their ids, with how many tickets are open and whether nothing of them waits to be judged.
select asset.site_id, asset.tag, asset.name, asset.asset_type_id, area.name, asset.status, asset.criticality,
       asset.serial_number, asset.brand, asset.model, asset.batch, asset.purchase_date, asset.warranty_until,
       asset.firmware, asset.contract_number, asset.location, asset.latitude, asset.longitude, asset.requester_id,
       asset.commissioned_at, asset.id, asset.version, asset.created_at,
       (select count(*) from ticket where ticket.asset_id = asset.id and ticket.state <> 'closed'),
       not exists (select from evidence_due where evidence_due.asset_id = asset.id)
         and not exists (select from device where device.asset_id = asset.id and device.held)
from asset
left join area on area.id = asset.area_id
where asset.id > %(after)s
  and (%(id)s::bigint is null or asset.id = %(id)s)
  and (%(ids)s::bigint[] is null or asset.id = any(%(ids)s))
  and (%(sites)s::text[] is null or asset.site_id = any(%(sites)s))
  and (%(site)s::text is null or asset.site_id = %(site)s)
  and (%(tag)s::text is null or asset.tag = %(tag)s)
  and (%(name)s::text is null or asset.name = %(name)s)
  and (%(asset_type)s::text is null or asset.asset_type_id = %(asset_type)s)
  and (%(status)s::text is null or asset.status = %(status)s)
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
insert into asset (site_id, tag, name, asset_type_id, area_id, status, criticality, serial_number, brand, model, batch,
                   purchase_date, warranty_until, firmware, contract_number, location, latitude, longitude,
                   requester_id, commissioned_at, created_at)
values (%(site_id)s, %(tag)s, %(name)s, %(asset_type_id)s, %(area_id)s, %(status)s, %(criticality)s, %(serial_number)s,
        %(brand)s, %(model)s, %(batch)s, %(purchase_date)s, %(warranty_until)s, %(firmware)s, %(contract_number)s,
        %(location)s, %(latitude)s, %(longitude)s, %(requester_id)s, %(commissioned_at)s, %(now)s)
on conflict (site_id, tag) do nothing
returning id

-- name: hold_asset
-- Keep others from changing an asset.
select id
from asset
where id = %(id)s
for no key update

-- name: update_asset
-- Store the next version of an asset, unless somebody else has.
update asset
set tag = %(tag)s,
    name = %(name)s,
    asset_type_id = %(asset_type_id)s,
    area_id = %(area_id)s,
    status = %(status)s,
    criticality = %(criticality)s,
    serial_number = %(serial_number)s,
    brand = %(brand)s,
    model = %(model)s,
    batch = %(batch)s,
    purchase_date = %(purchase_date)s,
    warranty_until = %(warranty_until)s,
    firmware = %(firmware)s,
    contract_number = %(contract_number)s,
    location = %(location)s,
    latitude = %(latitude)s,
    longitude = %(longitude)s,
    requester_id = %(requester_id)s,
    commissioned_at = %(commissioned_at)s,
    version = version + 1
where id = %(id)s
  and version = %(version)s

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
       last_sequence, created_at, feed_id, feed_key, clock_ahead_s, clock_seen_at,
       coalesce((select sum(missing) from sequence_gap where sequence_gap.device_id = device.id), 0)::bigint, version
from device
where id > %(after)s
  and (%(id)s::bigint is null or id = %(id)s)
  and (%(sites)s::text[] is null or site_id = any(%(sites)s))
  and (%(site)s::text is null or site_id = %(site)s)
  and (%(name)s::text is null or name = %(name)s)
  and (%(assets)s::bigint[] is null or asset_id = any(%(assets)s))
  and (%(feed_id)s::integer is null or feed_id = %(feed_id)s)
  and (%(feed_key)s::text is null or feed_key = %(feed_key)s)
order by id
limit %(limit)s

-- name: insert_device
-- Register a device; returns nothing when its name is taken at the site or its key on the feed.
insert into device (site_id, name, asset_id, time_policy, expected_interval_s, feed_id, feed_key, created_at)
values (%(site_id)s, %(name)s, %(asset_id)s, %(time_policy)s, %(expected_interval_s)s, %(feed_id)s, %(feed_key)s,
        %(now)s)
on conflict do nothing
returning id

-- name: hold_device
-- Keep others from changing a device.
select id
from device
where id = %(id)s
for no key update

-- name: update_device
-- Store the next version of a device, unless somebody else has.
update device
set asset_id = %(asset_id)s,
    time_policy = %(time_policy)s,
    expected_interval_s = %(expected_interval_s)s,
    feed_id = %(feed_id)s,
    feed_key = %(feed_key)s,
    version = version + 1
where id = %(id)s
  and version = %(version)s

-- name: site_of_feed
-- The site of one feed.
select site_id
from feed
where id = %(id)s

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
       (select count(*) from outbox where given_up_at is not null and done_at is null),
       (select count(*) from device where online),
       (select count(*) from device)
