-- name: on_call_of_team
-- Returns who of a team is on call at a moment and not absent, a delegate in an absent one's place, in order of ids.
select distinct coalesce(away.delegate_id, planned.person_id)
from at_work(%(now)s) planned
join person on person.id = planned.person_id
left join absence away
  on away.person_id = planned.person_id
  and away.starts_at <= %(now)s
  and away.ends_at > %(now)s
join person chosen on chosen.id = coalesce(away.delegate_id, planned.person_id)
where planned.on_call
  and (planned.team_id = %(team_id)s or person.team_id = %(team_id)s)
  and (away.id is null or away.delegate_id is not null)
  and chosen.active
order by 1

-- name: shifts
-- Returns shifts that lie in a span, of people seen at the caller's sites, in the order of their ids.
select shift.id, shift.person_id, person.name as person_name, shift.starts_at, shift.ends_at, shift.on_call
from shift
join person on person.id = shift.person_id
where shift.id > %(after)s
  and shift.ends_at > %(start)s
  and shift.starts_at < %(until)s
  and (%(person_id)s::bigint is null or shift.person_id = %(person_id)s::bigint)
  and (%(sites)s::text[] is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = any(%(sites)s))))
order by shift.id
limit %(limit)s

-- name: insert_shift
-- Plans a shift; returns nothing when the person has one that starts then.
insert into shift (person_id, starts_at, ends_at, on_call)
values (%(person_id)s, %(starts_at)s, %(ends_at)s, %(on_call)s)
on conflict do nothing
returning id

-- name: shift_of
-- Returns whose a shift is.
select person_id
from shift
where id = %(id)s

-- name: delete_shift
-- Takes a shift out of the plan.
delete from shift
where id = %(id)s

-- name: is_time_zone
-- Tells whether the database knows a time zone: with one it does not, nobody's plan could be read any more.
select 1
from pg_timezone_names
where name = %(time_zone)s

-- name: rotas
-- Returns rotas with their days and members, in the order of their ids, of teams of the caller's sites.
select
  rota.id, rota.team_id, team.name as team, rota.name, rota.time_zone, rota.first_day, rota.last_day, rota.cycle_days,
  rota.on_call,
  coalesce((select jsonb_agg(jsonb_build_object('number', number, 'starts', starts, 'ends', ends) order by number)
            from rota_day
            where rota_id = rota.id), '[]'::jsonb) as days,
  coalesce((select jsonb_agg(jsonb_build_object('person_id', person_id, 'offset_days', offset_days) order by person_id)
            from rota_member
            where rota_id = rota.id), '[]'::jsonb) as members
from rota
join team on team.id = rota.team_id
where rota.id > %(after)s
  and (%(sites)s::text[] is null or team.site_id is null or team.site_id = any(%(sites)s))
order by rota.id
limit %(limit)s

-- name: insert_rota
-- Adds a rota; returns nothing when its name is taken.
insert into rota (team_id, name, time_zone, first_day, last_day, cycle_days, on_call)
values (%(team_id)s, %(name)s, %(time_zone)s, %(first_day)s, %(last_day)s, %(cycle_days)s, %(on_call)s)
on conflict (name) do nothing
returning id

-- name: insert_rota_day
-- Adds a worked day of a rota's cycle.
insert into rota_day (rota_id, number, starts, ends)
values (%(rota_id)s, %(number)s, %(starts)s, %(ends)s)

-- name: insert_rota_member
-- Adds a member of a rota with the day of the cycle that they begin at.
insert into rota_member (rota_id, person_id, offset_days)
values (%(rota_id)s, %(person_id)s, %(offset_days)s)

-- name: delete_rota
-- Takes a rota away with its days and members; returns nothing when there is none.
delete from rota
where id = %(id)s
returning id

-- name: team_site
-- Returns the site of a team, null where it works at every site.
select site_id
from team
where id = %(id)s

-- name: absences
-- Returns absences that have not ended before a moment, of people seen at the caller's sites.
select
  absence.id, absence.person_id, person.name as person_name, absence.starts_at, absence.ends_at, absence.delegate_id,
  delegate.name as delegate_name, absence.reason
from absence
join person on person.id = absence.person_id
left join person delegate on delegate.id = absence.delegate_id
where absence.id > %(after)s
  and absence.ends_at > %(start)s
  and (%(person_id)s::bigint is null or absence.person_id = %(person_id)s::bigint)
  and (%(sites)s::text[] is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = any(%(sites)s))))
order by absence.id
limit %(limit)s

-- name: insert_absence
-- Notes an absence; returns nothing when the person has one that starts then.
insert into absence (person_id, starts_at, ends_at, delegate_id, reason)
values (%(person_id)s, %(starts_at)s, %(ends_at)s, %(delegate_id)s, %(reason)s)
on conflict do nothing
returning id

-- name: absence_of
-- Returns whose an absence is.
select person_id
from absence
where id = %(id)s

-- name: delete_absence
-- Takes an absence back.
delete from absence
where id = %(id)s
