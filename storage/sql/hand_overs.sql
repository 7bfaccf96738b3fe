-- name: team_for_hand_over
-- Returns the name of a team that takes tickets of a site.
select name
from team
where id = %(team_id)s
  and (site_id is null or site_id = %(site_id)s)

-- name: serial_number_of_asset
-- Returns the serial number of an asset, null when none is registered.
select serial_number
from asset
where id = %(asset_id)s

-- name: insert_hand_over
-- Keeps what the receiving team was told.
insert into hand_over (
  ticket_id, at, from_person_id, from_team_id, to_team_id, asked, history, serial_number, requester
)
values (
  %(ticket_id)s, %(now)s, %(from_person_id)s, %(from_team_id)s, %(to_team_id)s, %(asked)s, %(history)s,
  %(serial_number)s, %(requester)s
)

-- name: rate_hand_over
-- Rates the newest unrated hand-over that a person may rate; a second rating finds none.
update hand_over
set
  rating = %(rating)s,
  comment = %(comment)s,
  rated_by = %(person_id)s,
  rated_at = %(now)s
where id = (
    select h.id
    from hand_over h
    join team receiving on receiving.id = h.to_team_id
    where h.ticket_id = %(ticket_id)s
      and h.rated_at is null
      and (
        receiving.lead_id = %(person_id)s
        or exists (select from person p where p.id = %(person_id)s and p.team_id = receiving.id)
      )
    order by h.id desc
    limit 1
  )
  and rated_at is null
returning id

-- name: receivers_of_ticket
-- Returns the people who may rate a hand-over of a ticket: lead and engineers of a team that has not rated it yet.
select distinct p.id
from hand_over h
join ticket t on t.id = h.ticket_id
join team receiving on receiving.id = h.to_team_id
join person p on p.active and (p.id = receiving.lead_id or p.team_id = receiving.id)
where h.ticket_id = %(ticket_id)s
  and h.rated_at is null
  and (
    p.id = receiving.lead_id
    or exists (
      select
      from person_role r
      where r.person_id = p.id
        and r.role = 'engineer'
        and (r.site_id is null or r.site_id = t.site_id)
    )
  )

-- name: hand_overs_of_ticket
-- Returns the hand-overs of a ticket, oldest first, each with its rating.
select
  h.at, giver.name as from_person, old.name as from_team, h.to_team_id, receiving.name as to_team, h.asked, h.history,
  h.serial_number, h.requester, h.rating, h.comment, rater.name as rated_by, h.rated_at
from hand_over h
join team receiving on receiving.id = h.to_team_id
left join team old on old.id = h.from_team_id
left join person giver on giver.id = h.from_person_id
left join person rater on rater.id = h.rated_by
where h.ticket_id = %(ticket_id)s
order by h.id

-- name: teams_for_hand_over
-- Returns the teams that can be given a ticket: of its site or of every site, and not the one that has it.
select team.id, team.name
from ticket t
join team on (team.site_id is null or team.site_id = t.site_id) and team.id is distinct from t.team_id
where t.id = %(ticket_id)s
order by team.name, team.id
