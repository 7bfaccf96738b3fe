-- name: time_zones
-- Every site with the time zone of its calendar.
select site.id, calendar.time_zone
from site
join calendar on calendar.id = site.calendar_id

-- name: calendars
-- The calendars a site may have.
select id
from calendar

-- name: sites_of
-- These sites.
select id, name, calendar_id, latitude, longitude, version
from site
where id = any(%(sites)s)
order by id

-- name: update_site_of
-- Store the next version of a site, unless somebody else has.
update site
set name = %(name)s,
    calendar_id = %(calendar_id)s,
    latitude = %(latitude)s,
    longitude = %(longitude)s,
    version = version + 1
where id = %(id)s
  and version = %(version)s

-- name: areas_of
-- The areas of these sites.
select site_id, name
from area
where site_id = any(%(sites)s)
order by site_id, name

-- name: asset_type_ids
-- The types an asset may have.
select id
from asset_type

-- name: active_logins
-- Who may be the requester of an asset.
select login, id
from person
where active

-- name: assets_of
-- The assets of these sites, with the logins of their requesters.
select asset.id, asset.version, person.login, asset.site_id, asset.tag, asset.name, asset.asset_type_id, area.name,
       asset.status, asset.criticality, asset.serial_number, asset.brand, asset.model, asset.batch,
       asset.purchase_date, asset.warranty_until, asset.firmware, asset.contract_number, asset.location,
       asset.latitude, asset.longitude, asset.requester_id, asset.commissioned_at
from asset
left join area on area.id = asset.area_id
left join person on person.id = asset.requester_id
where asset.site_id = any(%(sites)s)
order by asset.site_id, asset.tag

-- name: asset_ids_of
-- The assets of these sites by their tags.
select site_id, tag, id
from asset
where site_id = any(%(sites)s)

-- name: components_of
-- The components of these sites' assets, with when each was last fitted.
select asset.site_id, asset.tag, asset.id, part.code, part.name, part.serial_number, part.brand, part.model,
       part.installed_at
from (
  select coalesce(component.asset_id, fitted.asset_id) as asset_id, coalesce(component.code, fitted.component) as code,
         component.name, component.serial_number, component.brand, component.model, fitted.installed_at
  from component
  full join (
    select asset_id, component, max(installed_at) as installed_at
    from component_installation
    group by asset_id, component
  ) as fitted on fitted.asset_id = component.asset_id and fitted.component = component.code
) as part
join asset on asset.id = part.asset_id
where asset.site_id = any(%(sites)s)
order by asset.site_id, asset.tag, part.code

-- name: installations_of
-- Every time that a component of these sites' assets was fitted.
select component_installation.asset_id, component_installation.component, component_installation.installed_at
from component_installation
join asset on asset.id = component_installation.asset_id
where asset.site_id = any(%(sites)s)

-- name: feeds_of
-- The feeds of these sites.
select site_id, name, id
from feed
where site_id = any(%(sites)s)

-- name: devices_of
-- The devices of these sites, with the tags of their assets and the names of their feeds.
select device.id, device.version, asset.tag, feed.name, device.site_id, device.name, device.asset_id,
       device.time_policy, device.expected_interval_s, device.feed_id, device.feed_key
from device
join asset on asset.id = device.asset_id
left join feed on feed.id = device.feed_id
where device.site_id = any(%(sites)s)
order by device.site_id, device.name
