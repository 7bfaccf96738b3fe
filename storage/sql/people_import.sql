-- name: known_people
-- Returns people by login: the facts that a table may change, the sites of their roles and a time zone.
select
  p.login, p.id, p.name, team.name as team, p.load_limit, p.latitude, p.longitude,
  array(select distinct coalesce(r.site_id, '') from person_role r where r.person_id = p.id) as sites,
  array(select coalesce(r.site_id, '') from person_role r where r.person_id = p.id and r.role = 'engineer')
    as engineer_at,
  (select c.time_zone
   from person_role r
   join site s on s.id = r.site_id
   join calendar c on c.id = s.calendar_id
   where r.person_id = p.id
   order by r.role <> 'engineer', s.id
   limit 1) as time_zone
from person p
left join team on team.id = p.team_id
where p.login = any(%(logins)s)

-- name: known_sites
-- Returns the ids of all sites.
select id
from site

-- name: update_person
-- Writes what a table says of a person who is there; the team is made when it is new.
update person
set name = %(name)s,
    team_id = %(team_id)s,
    load_limit = %(load_limit)s,
    latitude = %(latitude)s,
    longitude = %(longitude)s,
    version = version + 1
where id = %(id)s

-- name: known_skills
-- Returns the skills of people.
select person_id, skill, level
from person_skill
where person_id = any(%(ids)s)

-- name: known_certificates
-- Returns the certificates of people.
select person_id, name, valid_from, valid_to
from certificate
where person_id = any(%(ids)s)

-- name: known_shifts
-- Returns the shifts of people.
select person_id, starts_at, on_call, ends_at
from shift
where person_id = any(%(ids)s)

-- name: write_shift
-- Plans a shift, or gives the one that starts then its end anew.
insert into shift (person_id, starts_at, ends_at, on_call)
values (%(person_id)s, %(starts_at)s, %(ends_at)s, %(on_call)s)
on conflict (person_id, starts_at, on_call) do update
set ends_at = excluded.ends_at
