-- name: insert_person
-- Add a person; returns nothing when the login is taken.
insert into person (login, name, language, password_hash, team_id, latitude, longitude, load_limit, on_duty, active,
                    requester_tier, created_at)
values (%(login)s, %(name)s, %(language)s, %(password_hash)s, %(team_id)s, %(latitude)s, %(longitude)s,
        %(load_limit)s, %(on_duty)s, %(active)s, %(requester_tier)s, %(now)s)
on conflict (login) do nothing
returning id

-- name: insert_role
-- Give a person a role at one site, or at every site when site_id is null.
insert into person_role (person_id, role, site_id)
values (%(person_id)s, %(role)s, %(site_id)s)
on conflict do nothing

-- name: delete_role
-- Take from a person a role at one site, or the one at every site when site_id is null.
delete from person_role
where person_id = %(person_id)s
  and role = %(role)s
  and site_id is not distinct from %(site_id)s

-- name: hold_people
-- Let one at a time change people.
select pg_advisory_xact_lock(hashtextextended('person', 0))

-- name: hold_person
-- Let nobody change this person until the transaction ends.
select id
from person
where id = %(person_id)s
for update

-- name: update_person
-- Store the next version of a person.
update person
set name = %(name)s,
    language = %(language)s,
    team_id = %(team_id)s,
    latitude = %(latitude)s,
    longitude = %(longitude)s,
    load_limit = %(load_limit)s,
    on_duty = %(on_duty)s,
    active = %(active)s,
    requester_tier = %(requester_tier)s,
    version = version + 1
where id = %(person_id)s

-- name: has_administrator
-- Whether somebody active is an administrator of every site.
select 1
from person
join person_role on person_role.person_id = person.id
where person.active
  and person_role.role = 'admin'
  and person_role.site_id is null
limit 1

-- name: insert_skill
-- Note a person's skill, replacing its level.
insert into person_skill (person_id, skill, level)
values (%(person_id)s, %(skill)s, %(level)s)
on conflict (person_id, skill) do update
set level = excluded.level

-- name: set_on_duty
-- Note that somebody's shift begins or ends.
update person
set on_duty = %(on_duty)s
where id = %(person_id)s

-- name: ensure_team
-- Find or make the team of this name.
insert into team (name)
values (%(name)s)
on conflict (name) do update
set name = excluded.name
returning id

-- name: person_by_credential
-- The active person behind a live credential, with the roles held.
select person.id, person.login, person.name, person.language, credential.kind,
       array(select role from person_role where person_id = person.id order by role, site_id),
       array(select site_id from person_role where person_id = person.id order by role, site_id)
from credential
join person on person.id = credential.person_id
where credential.secret_hash = %(secret_hash)s
  and credential.revoked_at is null
  and (credential.expires_at is null or credential.expires_at > %(now)s)
  and person.active

-- name: person_by_id
-- One person with the roles held.
select person.id, person.login, person.name, person.language,
       array(select role from person_role where person_id = person.id order by role, site_id),
       array(select site_id from person_role where person_id = person.id order by role, site_id)
from person
where person.id = %(person_id)s

-- name: password_of_login
-- The active person of a login with the password's hash.
select id, password_hash
from person
where login = %(login)s
  and active

-- name: set_password
-- Replace a person's password, and note who did; no hash enters the audit.
with replaced as (
  update person
  set password_hash = %(password_hash)s
  where id = %(person_id)s
  returning id
)
insert into audit (at, person_id, noun, record_id, before, after)
select %(now)s, %(by)s, 'password', replaced.id, '{}', '{}'
from replaced

-- name: end_sessions
-- Revoke every browser session of a person: after a new password the old ones must not live on.
update credential
set revoked_at = %(now)s
where person_id = %(person_id)s
  and kind = 'session'
  and revoked_at is null

-- name: end_credentials
-- Revoke every session and token of a person who is not active any more.
update credential
set revoked_at = %(now)s
where person_id = %(person_id)s
  and revoked_at is null

-- name: insert_credential
-- Keep the hash of a new secret.
insert into credential (person_id, kind, name, secret_hash, created_at, expires_at)
values (%(person_id)s, %(kind)s, %(name)s, %(secret_hash)s, %(now)s, %(expires_at)s)

-- name: revoke_credential
-- End one credential by its secret.
update credential
set revoked_at = %(now)s
where secret_hash = %(secret_hash)s
  and revoked_at is null

-- name: count_sign_in_failures
-- Recent failures of one login from one address, and when the oldest of them was.
select count(*), min(at)
from sign_in_failure
where login = %(login)s
  and address = %(address)s
  and at > %(since)s

-- name: insert_sign_in_failure
-- Note a failed sign-in.
insert into sign_in_failure (login, address, at)
values (%(login)s, %(address)s, %(now)s)

-- name: delete_sign_in_failures
-- Forget the failures of a login from an address after a success, and everybody's that no longer count.
delete from sign_in_failure
where (login = %(login)s and address = %(address)s)
   or at <= %(since)s

-- name: people
-- People in the order of their ids, with roles and skills; limited to those who work at one of the sites when given.
select person.id, person.login, person.name, person.language, team.name, person.latitude, person.longitude,
       person.load_limit, person.on_duty, person.active, person.requester_tier, person.version,
       array(select role from person_role where person_id = person.id order by role, site_id),
       array(select site_id from person_role where person_id = person.id order by role, site_id),
       array(select skill from person_skill where person_id = person.id order by skill),
       array(select level from person_skill where person_id = person.id order by skill)
from person
left join team on team.id = person.team_id
where person.id > %(after)s
  and (%(login)s::text is null or person.login = %(login)s)
  and (%(role)s::text is null
       or exists (select from person_role where person_id = person.id and role = %(role)s))
  and (%(sites)s::text[] is null
       or exists (select from person_role
                  where person_id = person.id and (site_id is null or site_id = any(%(sites)s))))
order by person.id
limit %(limit)s
