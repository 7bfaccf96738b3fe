-- name: insert_attachment
-- Keep a file as evidence on a ticket.
insert into attachment (id, ticket_id, kind, file_name, media_type, content, added_by, added_at)
values (%(id)s, %(ticket_id)s, %(kind)s, %(file_name)s, %(media_type)s, %(content)s, %(added_by)s, %(now)s)

-- name: ticket_of_code
-- The ticket that a file is to be kept on, held so that its files can be counted, and how many it has.
select ticket.id, ticket.site_id, ticket.state,
       (select count(*) from attachment where attachment.ticket_id = ticket.id)
from ticket
where ticket.code = %(code)s
for no key update of ticket

-- name: attachment
-- One file with the site and requester of its ticket.
select attachment.kind, attachment.file_name, attachment.media_type, attachment.content, attachment.added_at,
       ticket.site_id, ticket.requester_id
from attachment
join ticket on ticket.id = attachment.ticket_id
where attachment.id = %(id)s
