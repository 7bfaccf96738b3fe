-- name: keep
-- Keeps a refused request, or counts it once more while nobody has dealt with the first.
insert into intake_refusal (
  first_at, last_at, channel, site_id, person_id, reason, expected, got, remedy, body, fingerprint
)
values (
  %(now)s, %(now)s, %(channel)s, %(site_id)s, %(person_id)s, %(reason)s, %(expected)s, %(got)s, %(remedy)s, %(body)s,
  %(fingerprint)s
)
on conflict (fingerprint) where settled_at is null do update
set
  last_at = excluded.last_at,
  times = intake_refusal.times + 1
returning id

-- name: refusals
-- A page of refused requests at some sites, newest first; one that names no asset is where its sender has a role.
select
  r.id, r.first_at, r.last_at, r.times, r.channel, r.site_id, p.name as person_name, r.reason, r.expected, r.got,
  r.remedy, r.body, r.settled_at, s.name as settled_by_name, r.settled_note
from intake_refusal r
left join person p on p.id = r.person_id
left join person s on s.id = r.settled_by
where (%(before)s::bigint is null or r.id < %(before)s::bigint)
  and (%(id)s::bigint is null or r.id = %(id)s::bigint)
  and (%(open)s::boolean is null or (r.settled_at is null) = %(open)s::boolean)
  and (
    %(sites)s::text[] is null
    or r.site_id = any (%(sites)s::text[])
    or (
      r.site_id is null
      and exists (
        select
        from person_role held
        where held.person_id = r.person_id
          and (held.site_id is null or held.site_id = any (%(sites)s::text[]))
      )
    )
  )
order by r.id desc
limit %(limit)s

-- name: settle
-- Notes who dealt with a refused request and how, once.
update intake_refusal
set
  settled_at = %(now)s,
  settled_by = %(person_id)s,
  settled_note = %(note)s
where id = %(id)s
  and settled_at is null
returning id
