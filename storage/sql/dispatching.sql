-- name: lock_assignment
-- Lets one assignment at a time count an engineer's open tickets, so that two at once cannot pass the load limit.
select pg_advisory_xact_lock(hashtext('wearsight assignment'))

-- name: try_lock_round
-- Lets one dispatch round at a time go on, until its session ends or lets go; tells whether it is this one.
select pg_try_advisory_lock(hashtext('wearsight dispatch round'))

-- name: unlock_round
-- Lets the next dispatch round begin.
select pg_advisory_unlock(hashtext('wearsight dispatch round'))

-- name: take_new_ticket
-- Takes a new ticket for a dispatch decision, unless somebody else holds it at this moment.
select id, version
from ticket
where code = %(code)s
  and state = 'new'
for no key update skip locked

-- name: tickets_to_dispatch
-- Returns the new tickets up to a priority, the most urgent first.
select id
from ticket
where state = 'new'
  and priority <= %(least_urgent)s
order by priority, due_at, opened_at, code
limit %(limit)s

-- name: jobs
-- Returns what these tickets ask of an engineer, the most urgent first.
select
  t.id, t.version, t.code, t.priority, t.policy_id, t.opened_at, t.site_id,
  coalesce(a.latitude, s.latitude) as latitude,
  coalesce(a.longitude, s.longitude) as longitude,
  (%(now)s::timestamptz at time zone c.time_zone)::date as day,
  coalesce(m.skills, '{}') as skills,
  array(select distinct n.certificate
        from certificate_needed n
        where (n.site_id is null or n.site_id = t.site_id)
          and (n.asset_type_id is null or n.asset_type_id = a.asset_type_id)
          and (n.failure_mode_id is null or n.failure_mode_id = t.failure_mode_id)
        order by 1) as certificates,
  t.team_id, a.brand, a.asset_type_id, t.failure_mode_id,
  (select o.assignee_id
   from ticket o
   where o.asset_id = t.asset_id
     and o.state = 'closed'
     and o.assignee_id is not null
   order by o.opened_at desc
   limit 1) as last_engineer_id
from ticket t
join asset a on a.id = t.asset_id
join site s on s.id = t.site_id
join calendar c on c.id = s.calendar_id
left join failure_mode m on m.id = t.failure_mode_id
where t.id = any(%(ticket_ids)s::uuid[])
order by t.priority, t.due_at, t.opened_at, t.code

-- name: engineers
-- Returns everybody who is an engineer anywhere, or one of them, with what the rules and weights ask about them.
with plan as (
  select w.person_id, w.team_id, w.on_call, w.person_id as of_person, null::text as in_place_of
  from at_work(%(now)s) w
  union all
  -- A delegate is at work when the absent one would be.
  select away.delegate_id, person.team_id, coalesce(w.on_call, false), away.person_id, person.name
  from absence away
  join person on person.id = away.person_id
  left join at_work(%(now)s) w on w.person_id = away.person_id
  where away.starts_at <= %(now)s
    and away.ends_at > %(now)s
    and away.delegate_id is not null
    and (w.person_id is not null
         or (person.on_duty
             and not exists (select from shift where shift.person_id = person.id)
             and not exists (select from rota_member where rota_member.person_id = person.id)))
)
select
  p.id, p.name, p.latitude, p.longitude,
  bool_or(r.site_id is null) as is_everywhere,
  array_remove(array_agg(distinct r.site_id), null) as sites,
  p.active, p.on_duty,
  exists (select from shift where shift.person_id = p.id)
    or exists (select from rota_member where rota_member.person_id = p.id) as is_planned,
  exists (select from plan where plan.person_id = p.id and not plan.on_call) as is_at_work,
  exists (select from plan where plan.person_id = p.id and plan.on_call) as is_on_call,
  away.ends_at as absent_until, away.delegate,
  array(select distinct team_id
        from (select p.team_id
              union
              select plan.team_id from plan where plan.person_id = p.id) as mine (team_id)
        where team_id is not null) as team_ids,
  coalesce((select jsonb_object_agg(k.skill, k.level) from person_skill k where k.person_id = p.id), '{}'::jsonb)
    as skills,
  coalesce((select jsonb_agg(jsonb_build_array(e.name, e.valid_from, e.valid_to))
            from certificate e
            where e.person_id = p.id), '[]'::jsonb) as certificates,
  array(select b.brand from person_brand b where b.person_id = p.id) as brands,
  coalesce((select jsonb_object_agg(g.site_id, g.valid_to)
            from person_site_access g
            where g.person_id = p.id), '{}'::jsonb) as access,
  (select count(*) from ticket o where o.assignee_id = p.id and o.state <> 'closed') as open_tickets,
  p.load_limit,
  coalesce((select jsonb_object_agg(f.asset_type_id, jsonb_build_array(f.repaired, f.held))
            from first_time_fix f
            where f.person_id = p.id), '{}'::jsonb) as repairs,
  coalesce((select jsonb_object_agg(h.failure_mode_id, h.hours)
            from (select each.failure_mode_id, min(each.hours) as hours
                  from (select o.failure_mode_id, 0 as hours
                        from ticket o
                        where o.assignee_id = p.id
                          and o.state <> 'closed'
                        union all
                        select o.failure_mode_id, extract(epoch from %(now)s::timestamptz - o.closed_at) / 3600
                        from ticket o
                        where o.assignee_id = p.id
                          and o.state = 'closed'
                          and o.closed_at > %(handled_since)s) as each
                  where each.failure_mode_id is not null
                  group by each.failure_mode_id) as h), '{}'::jsonb) as handled
from person p
join person_role r on r.person_id = p.id and r.role = 'engineer'
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
where %(person_id)s::bigint is null
   or p.id = %(person_id)s::bigint
group by p.id, away.ends_at, away.delegate
order by p.id

-- name: insert_decision
-- Stores a dispatch decision with the candidates kept, and of all considered how many each rule excluded (SPEC X4).
insert into dispatch_decision (ticket_id, at, chosen_id, candidates, how, considered, fitting, excluded)
values (%(ticket_id)s, %(now)s, %(chosen_id)s, %(candidates)s, %(how)s, %(considered)s, %(fitting)s, %(excluded)s)

-- name: last_decision
-- Returns what the newest decision about a ticket came to.
select chosen_id, how, candidates
from dispatch_decision
where ticket_id = %(ticket_id)s
order by at desc, id desc
limit 1

-- name: last_unassigned_notice
-- Returns when the supervisors were last told that nobody fits this ticket.
select max(at)
from ticket_event
where ticket_id = %(ticket_id)s
  and command = 'unassigned'

-- name: last_closers
-- Returns who closed tickets of this kind (the same failure mode where known) on this type of asset, the last first.
select found.assignee_id
from (
  select o.assignee_id, o.closed_at
  from ticket o
  join asset a on a.id = o.asset_id
  where o.state = 'closed'
    and o.outcome in ('repaired', 'no_fault_found', 'deferred')
    and o.closed_at > %(since)s
    and o.assignee_id is not null
    and a.asset_type_id = (select asset_type_id from asset where id = %(asset_id)s)
    and case
          when %(failure_mode_id)s::bigint is null then o.kind = %(kind)s
          else o.failure_mode_id = %(failure_mode_id)s::bigint
        end
  order by o.closed_at desc
  limit 50
) as found
group by found.assignee_id
order by max(found.closed_at) desc
limit 5

-- name: ticket_kind
-- Returns what the fallback asks about a ticket.
select t.asset_id, t.failure_mode_id, t.kind, t.site_id, t.team_id
from ticket t
where t.id = %(ticket_id)s

-- name: team_leads
-- Returns who leads a team that may take a ticket: its own team, else one of the site, else the team of its engineers.
select coalesce(away.delegate_id, lead.id) as person_id
from team
join person lead on lead.id = team.lead_id
left join absence away on away.person_id = lead.id and away.starts_at <= %(now)s and away.ends_at > %(now)s
join person chosen on chosen.id = coalesce(away.delegate_id, lead.id)
where chosen.active
  and (away.id is null or away.delegate_id is not null)
  and case
        when %(team_id)s::bigint is not null then team.id = %(team_id)s::bigint
        else team.site_id = %(site_id)s
          or (team.site_id is null
              and exists (select
                          from person p
                          join person_role r on r.person_id = p.id and r.role = 'engineer'
                          where p.team_id = team.id
                            and (r.site_id is null or r.site_id = %(site_id)s)))
      end
order by team.site_id is null, team.id
limit 1

-- name: is_lead
-- Tells whether a person leads a team, or stands in for somebody who does.
select
from team
left join absence away on away.person_id = team.lead_id and away.starts_at <= %(now)s and away.ends_at > %(now)s
where %(person_id)s in (team.lead_id, away.delegate_id)

-- name: forget_first_time_fixes
-- Empties the count of repairs that held, before it is counted anew.
delete from first_time_fix

-- name: count_first_time_fixes
-- Counts repairs by engineer and type of asset, and those that held: not reopened, no such failure within 30 days.
insert into first_time_fix (person_id, asset_type_id, repaired, held)
select
  t.assignee_id, a.asset_type_id, count(*),
  count(*) filter (
    where t.reopened_count = 0
      and not exists (select
                      from ticket n
                      where n.asset_id = t.asset_id
                        and n.failure_mode_id = t.failure_mode_id
                        and n.opened_at > t.closed_at
                        and n.opened_at <= t.closed_at + interval '30 days')
  )
from ticket t
join asset a on a.id = t.asset_id
where t.state = 'closed'
  and t.outcome = 'repaired'
  and t.assignee_id is not null
  and t.closed_at > %(since)s
group by t.assignee_id, a.asset_type_id
