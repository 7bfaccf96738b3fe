-- The breaker of each site: what it counted last, and since when it is frozen.

-- name: breaker_freezes
-- Whether the site's breaker keeps tickets of this priority from being dispatched.
select 1
from breaker_state
where site_id = %(site_id)s
  and freezes_from <= %(priority)s::integer

-- name: frozen_sites
-- The sites whose breaker is frozen.
select site_id
from breaker_state
where frozen_since is not null
  and (%(sites)s::text[] is null or site_id = any (%(sites)s::text[]))
order by site_id

-- name: lock_breaker
-- Locks the breaker of a site, made if need be: of two P0 that open at once the second counts the first.
insert into breaker_state (site_id, open_p0, changed_at)
values (%(site_id)s, 0, %(now)s)
on conflict (site_id) do update
set changed_at = breaker_state.changed_at
returning frozen_since, freezes_from, open_p0

-- name: open_p0
-- The open P0 of a site, the oldest first.
select code
from ticket
where site_id = %(site_id)s
  and state <> 'closed'
  and priority = 0
order by opened_at, code

-- name: set_breaker
-- Saves what the breaker of a site counted and whether it is frozen.
update breaker_state
set
  open_p0 = %(open_p0)s,
  frozen_since = %(frozen_since)s,
  freezes_from = %(freezes_from)s,
  changed_at = %(now)s
where site_id = %(site_id)s

-- name: read_breakers
-- The breakers of some sites, or of every site, with the open P0 that hold them.
select
  s.id as site_id, s.name as site_name, b.frozen_since, b.freezes_from,
  array(select t.code
        from ticket t
        where t.site_id = s.id
          and t.state <> 'closed'
          and t.priority = 0
        order by t.opened_at, t.code) as p0_codes
from site s
left join breaker_state b on b.site_id = s.id
where (%(sites)s::text[] is null or s.id = any (%(sites)s::text[]))
order by s.id

-- name: sites_to_judge
-- The sites whose count of open P0 is not what their breaker counted last, and those that are frozen.
select s.id
from site s
left join breaker_state b on b.site_id = s.id
where b.frozen_since is not null
  or coalesce(b.open_p0, 0) <> (
    select count(*)
    from ticket t
    where t.site_id = s.id
      and t.state <> 'closed'
      and t.priority = 0
  )
order by s.id
