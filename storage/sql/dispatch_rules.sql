-- name: classes_of_work
-- Returns every kind of work that a ticket may ask for at each site: the failure modes of its assets' types, and none.
select distinct
  a.site_id, s.latitude, s.longitude, (%(now)s::timestamptz at time zone c.time_zone)::date as day, a.asset_type_id,
  m.id as failure_mode_id, m.code as failure_mode, coalesce(m.skills, '{}') as skills,
  array(select distinct n.certificate
        from certificate_needed n
        where (n.site_id is null or n.site_id = a.site_id)
          and (n.asset_type_id is null or n.asset_type_id = a.asset_type_id)
          and (n.failure_mode_id is null or n.failure_mode_id = m.id)
        order by 1) as certificates
from asset a
join site s on s.id = a.site_id
join calendar c on c.id = s.calendar_id
left join lateral (
  select f.id, f.code, f.skills
  from failure_mode f
  where f.asset_type_id = a.asset_type_id
    and f.retired_at is null
  union all
  select null, null, null
) as m on true
where a.status = 'in_service'
order by a.site_id, a.asset_type_id, failure_mode nulls first

-- name: past_tickets
-- Returns the tickets opened since a moment, the newest of them, with who first went.
select
  t.id, t.opened_at, t.closed_at,
  coalesce((select d.chosen_id
            from dispatch_decision d
            where d.ticket_id = t.id
              and d.chosen_id is not null
            order by d.at, d.id
            limit 1), t.assignee_id) as went_id
from ticket t
where t.opened_at > %(since)s
order by t.opened_at desc, t.id
limit %(limit)s

-- name: count_tickets_since
-- Counts the tickets opened since a moment.
select count(*)
from ticket
where opened_at > %(since)s

-- name: plans_at
-- Returns who was at work or on call at each of many moments, by their place in the list.
select m.number::integer, w.person_id, w.on_call
from unnest(%(moments)s::timestamptz[]) with ordinality as m (at, number)
cross join lateral at_work(m.at) as w

-- name: absences_at
-- Returns who was absent at each of many moments, by their place in the list.
select m.number::integer, a.person_id
from unnest(%(moments)s::timestamptz[]) with ordinality as m (at, number)
join absence a on a.starts_at <= m.at and a.ends_at > m.at

-- name: planned_people
-- Returns everybody who has a plan at all.
select person_id from shift
union
select person_id from rota_member
