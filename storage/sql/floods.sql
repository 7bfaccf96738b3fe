-- Floods of alarms (ISA-18.2): many machines of a site at once, most likely of one cause.

-- name: hold_floods_of_site
-- Lets one at a time note a flood of the asset's site, until the transaction ends, and tells the site.
select asset.site_id, pg_advisory_xact_lock(hashtextextended('flood ' || asset.site_id, 0))
from asset
where asset.id = %(asset_id)s;

-- name: see_flood
-- Takes note that a flood goes on.
update flood
set seen_at = greatest(seen_at, %(now)s)
where site_id = %(site_id)s
  and seen_at > %(now)s - %(within_minutes)s * interval '1 minute'
returning id;

-- name: begin_flood
-- A flood begins.
insert into flood (site_id, began_at, seen_at)
values (%(site_id)s, %(now)s, %(now)s)
returning id;

-- name: gather_tickets
-- Puts under a flood the tickets that predictions about its machines opened shortly before it was one.
insert into flood_ticket (flood_id, ticket_id)
select flood.id, ticket.id
from flood
join ticket
  on ticket.site_id = flood.site_id
  and ticket.prediction_id is not null
  and ticket.state <> 'closed'
  and ticket.opened_at > flood.began_at - %(within_minutes)s * interval '1 minute'
where flood.id = %(flood_id)s
  and exists (
    select
    from device
    where device.asset_id = ticket.asset_id
      and device.time_policy = 'live'
  )
  and exists (
    select
    from finding
    where finding.asset_id = ticket.asset_id
      and finding.opened_at > %(at)s - %(within_minutes)s * interval '1 minute'
      and finding.opened_at <= %(at)s
      and not finding.shadow
      and finding.shelving_id is null
  )
on conflict do nothing;

-- name: floods
-- Floods that go on at the sites, each with the tickets gathered and how many predictions wait for its end.
select flood.id, flood.site_id, site.name, flood.began_at, flood.seen_at,
       array(
         select ticket.code
         from flood_ticket
         join ticket on ticket.id = flood_ticket.ticket_id
         where flood_ticket.flood_id = flood.id
         order by ticket.opened_at, ticket.code
       ),
       (select count(*)
        from prediction
        join asset on asset.id = prediction.asset_id
        where asset.site_id = flood.site_id
          and prediction.status = 'open'
          and prediction.held_by_flood_at >= flood.began_at)
from flood
join site on site.id = flood.site_id
where flood.seen_at > %(now)s - %(within_minutes)s * interval '1 minute'
  and (%(sites)s::text[] is null or flood.site_id = any(%(sites)s))
order by flood.began_at, flood.id;

-- name: flood_of_ticket
-- When the flood began under which a ticket was put, and how many tickets were.
select flood.began_at, (select count(*) from flood_ticket as other where other.flood_id = flood.id)
from ticket
join flood_ticket on flood_ticket.ticket_id = ticket.id
join flood on flood.id = flood_ticket.flood_id
where ticket.code = %(code)s
order by flood.id desc
limit 1;
