-- name: sites
-- Sites in the order of their ids, limited to those given.
select id, name, calendar_id, latitude, longitude, version
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

-- name: site_for_change
-- One site, held until the transaction ends.
select id, name, calendar_id, latitude, longitude, version
from site
where id = %(id)s
for no key update

-- name: update_site
-- Store the next version of a site.
update site
set name = %(name)s,
    calendar_id = %(calendar_id)s,
    latitude = %(latitude)s,
    longitude = %(longitude)s,
    version = version + 1
where id = %(id)s

-- name: areas
-- Areas in the order of their ids.
select id, site_id, name, version
from area
where id > %(after)s
  and (%(sites)s::text[] is null or site_id = any(%(sites)s))
  and (%(site)s::text is null or site_id = %(site)s)
order by id
limit %(limit)s

-- name: insert_area
-- Add an area; returns nothing when its name is taken at the site.
insert into area (site_id, name)
values (%(site_id)s, %(name)s)
on conflict (site_id, name) do nothing
returning id, site_id, name, version

-- name: area_for_change
-- One area, held until the transaction ends.
select id, site_id, name, version
from area
where id = %(id)s
for no key update

-- name: update_area
-- Give an area another name.
update area
set name = %(name)s,
    version = version + 1
where id = %(id)s
