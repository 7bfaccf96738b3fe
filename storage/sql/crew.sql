-- name: people_now
-- Returns people of the caller's sites with plan, absence and open work as of now, in the order of their ids.
with planned as materialized (
  select person_id, on_call
  from at_work(%(now)s)
), plan as (
  select person_id, on_call
  from planned
  union all
  -- A delegate is at work when the absent one would be, as dispatch has it (dispatching.sql).
  select away.delegate_id, coalesce(planned.on_call, false)
  from absence away
  join person on person.id = away.person_id
  left join planned on planned.person_id = away.person_id
  where away.starts_at <= %(now)s
    and away.ends_at > %(now)s
    and away.delegate_id is not null
    and (planned.person_id is not null
         or (person.on_duty
             and not exists (select from shift where shift.person_id = person.id)
             and not exists (select from rota_member where rota_member.person_id = person.id)))
)
select
  p.id, p.login, p.name, p.language, p.active, p.on_duty, p.team_id, team.name as team, p.latitude, p.longitude,
  p.load_limit, p.requester_tier, p.version, p.calendar_id,
  array(select role from person_role where person_id = p.id order by role, site_id) as roles,
  array(select site_id from person_role where person_id = p.id order by role, site_id) as role_sites,
  coalesce((select jsonb_object_agg(skill, level) from person_skill where person_id = p.id), '{}'::jsonb) as skills,
  (select count(*) from ticket where assignee_id = p.id and state <> 'closed') as open_tickets,
  exists (select from shift where shift.person_id = p.id)
    or exists (select from rota_member where rota_member.person_id = p.id) as is_planned,
  exists (select from plan where plan.person_id = p.id and not plan.on_call) as is_at_work,
  exists (select from plan where plan.person_id = p.id and plan.on_call) as is_on_call,
  away.ends_at as absent_until, away.delegate,
  array(select absent.name
        from absence stood
        join person absent on absent.id = stood.person_id
        where stood.delegate_id = p.id
          and stood.starts_at <= %(now)s
          and stood.ends_at > %(now)s
        order by absent.name) as stands_in_for
from person p
left join team on team.id = p.team_id
left join lateral (
  select b.ends_at, d.name as delegate
  from absence b
  left join person d on d.id = b.delegate_id
  where b.person_id = p.id
    and b.starts_at <= %(now)s
    and b.ends_at > %(now)s
  order by b.ends_at desc
  limit 1
) as away on true
where p.id > %(after)s
  and (%(person_id)s::bigint is null or p.id = %(person_id)s::bigint)
  and (%(team_id)s::bigint is null or p.team_id = %(team_id)s::bigint)
  and (%(site)s::text is null
       or exists (select from person_role where person_id = p.id and (site_id is null or site_id = %(site)s)))
  and (%(sites)s::text[] is null
       or exists (select from person_role where person_id = p.id and (site_id is null or site_id = any(%(sites)s))))
order by p.id
limit %(limit)s

-- name: names
-- Returns active people seen at the caller's sites, by name.
select id, name, login
from person
where active
  and (%(sites)s::text[] is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = any(%(sites)s))))
order by name, id
limit %(limit)s

-- name: names_of
-- Returns what people are called.
select id, name
from person
where id = any(%(ids)s)

-- name: people_on_calendar
-- Returns people seen at the caller's sites who have a calendar of their own, by name.
select id, name, login
from person
where calendar_id = %(calendar_id)s
  and (%(sites)s::text[] is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = any(%(sites)s))))
order by name, id
limit %(limit)s

-- name: plan_between
-- Returns who is to work in a span, by single shifts and by rotas as at_work reads them, of the caller's sites.
with days as (
  select rota.id, rota.first_day, rota.last_day,
    (%(start)s::timestamptz at time zone rota.time_zone)::date - 1 as from_day,
    (%(until)s::timestamptz at time zone rota.time_zone)::date as to_day
  from rota
), plan as (
  select shift.person_id, person.team_id, shift.on_call, shift.starts_at, shift.ends_at, null::text as rota
  from shift
  join person on person.id = shift.person_id
  where shift.ends_at > %(start)s
    and shift.starts_at < %(until)s
  union all
  select member.person_id, rota.team_id, rota.on_call, span.starts_at, span.ends_at, rota.name
  from rota
  join days on days.id = rota.id
  join rota_member member on member.rota_id = rota.id
  cross join lateral (select days.from_day + n as day from generate_series(0, days.to_day - days.from_day) as n) as began
  join rota_day worked
    on worked.rota_id = rota.id
    and worked.number
      = mod(mod(began.day - rota.first_day + member.offset_days, rota.cycle_days) + rota.cycle_days, rota.cycle_days)
  cross join lateral (
    select
      (began.day + worked.starts) at time zone rota.time_zone,
      (began.day + worked.ends + case when worked.ends <= worked.starts then interval '1 day' else interval '0' end)
        at time zone rota.time_zone
  ) as span (starts_at, ends_at)
  where began.day >= rota.first_day
    and (rota.last_day is null or began.day <= rota.last_day)
    and span.ends_at > %(start)s
    and span.starts_at < %(until)s
)
select plan.person_id, person.name, plan.team_id, person.team_id as own_team_id, plan.on_call, plan.starts_at,
  plan.ends_at, plan.rota
from plan
join person on person.id = plan.person_id
where person.active
  and (%(person_id)s::bigint is null or plan.person_id = %(person_id)s::bigint)
  and (%(team_id)s::bigint is null or %(team_id)s::bigint in (plan.team_id, person.team_id))
  and (not %(only_on_call)s or plan.on_call)
  and (%(site)s::text is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = %(site)s)))
  and (%(sites)s::text[] is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = any(%(sites)s))))
order by plan.starts_at, person.name, plan.person_id
limit %(limit)s
