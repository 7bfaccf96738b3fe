-- name: person_of_login
-- The id of an active person.
select id
from person
where login = %(login)s and active

-- name: revoke_tokens_of_name
-- End every token of this name, so that only the newest run's works.
update credential
set revoked_at = %(now)s
where kind = 'token' and name = %(name)s and revoked_at is null

-- name: connected_process
-- Whether a process of this name holds a connection to this database.
select 1
from pg_stat_activity
where application_name = %(name)s and datname = current_database()
limit 1

-- name: parts_never_stocked
-- The numbers of parts of which no piece has ever come in or gone out.
select number
from part
where not exists (select from stock_movement where stock_movement.part_id = part.id)
order by number

-- name: first_device_ticket_since
-- The first ticket that a device opened after this moment.
select code, title_en
from ticket
where code like 'D%%' and opened_at >= %(since)s
order by opened_at
limit 1
