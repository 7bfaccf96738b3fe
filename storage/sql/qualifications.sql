-- name: qualifications
-- Returns what a person can and may do.
select
  person.team_id, team.name as team,
  coalesce((select jsonb_object_agg(skill, level) from person_skill where person_id = person.id), '{}'::jsonb)
    as skills,
  array(select brand from person_brand where person_id = person.id order by brand) as brands,
  coalesce((select jsonb_object_agg(site_id, valid_to) from person_site_access where person_id = person.id), '{}'::jsonb)
    as site_access
from person
left join team on team.id = person.team_id
where person.id = %(person_id)s

-- name: forget_skills
-- Takes all skills of a person away, before they are written anew.
delete from person_skill
where person_id = %(person_id)s

-- name: forget_brands
-- Takes all brands of a person away, before they are written anew.
delete from person_brand
where person_id = %(person_id)s

-- name: insert_brand
-- Notes a brand that a person works on.
insert into person_brand (person_id, brand)
values (%(person_id)s, %(brand)s)
on conflict do nothing

-- name: forget_site_access
-- Takes all site passes of a person away, before they are written anew.
delete from person_site_access
where person_id = %(person_id)s

-- name: insert_site_access
-- Notes a pass into a site, to its last day or for ever.
insert into person_site_access (person_id, site_id, valid_to)
values (%(person_id)s, %(site_id)s, %(valid_to)s)

-- name: certificates
-- Returns the certificates of a person, the newest first.
select id, name, valid_from, valid_to
from certificate
where person_id = %(person_id)s
order by name, valid_from desc

-- name: insert_certificate
-- Notes a certificate; one of the same name that begins on the same day is given its last day anew.
insert into certificate (person_id, name, valid_from, valid_to)
values (%(person_id)s, %(name)s, %(valid_from)s, %(valid_to)s)
on conflict (person_id, name, valid_from) do update
set valid_to = excluded.valid_to
returning id

-- name: delete_certificate
-- Takes a certificate away; returns nothing when the person has none of this id.
delete from certificate
where id = %(id)s
  and person_id = %(person_id)s
returning id

-- name: certificates_needed
-- Returns what may only be done with a certificate.
select n.id, n.certificate, n.site_id, n.asset_type_id, m.code as failure_mode
from certificate_needed n
left join failure_mode m on m.id = n.failure_mode_id
where n.id > %(after)s
order by n.id
limit %(limit)s

-- name: insert_certificate_needed
-- Asks for a certificate; returns nothing when the same is asked already.
insert into certificate_needed (certificate, site_id, asset_type_id, failure_mode_id)
values (%(certificate)s, %(site_id)s, %(asset_type_id)s,
        (select id from failure_mode where asset_type_id = %(asset_type_id)s and code = %(failure_mode)s))
on conflict do nothing
returning id

-- name: delete_certificate_needed
-- Asks for a certificate no longer; returns nothing when there is no such rule.
delete from certificate_needed
where id = %(id)s
returning id

-- name: has_failure_mode
-- Tells whether a type of asset has a failure mode of this code.
select 1
from failure_mode
where asset_type_id = %(asset_type_id)s
  and code = %(failure_mode)s

-- name: teams
-- Returns teams with their lead and the team that takes over, in the order of their ids.
select
  team.id, team.name, team.site_id, team.lead_id, lead.name as lead_name, team.backup_team_id,
  backup.name as backup_team, (select count(*) from person where person.team_id = team.id and person.active) as members
from team
left join person lead on lead.id = team.lead_id
left join team backup on backup.id = team.backup_team_id
where team.id > %(after)s
  and (%(sites)s::text[] is null or team.site_id is null or team.site_id = any(%(sites)s))
order by team.id
limit %(limit)s

-- name: update_team
-- Gives a team its site, its lead and the team that takes over; returns nothing when there is no such team.
update team
set site_id = %(site_id)s,
    lead_id = %(lead_id)s,
    backup_team_id = %(backup_team_id)s
where id = %(id)s
returning id
