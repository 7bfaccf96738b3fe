-- name: drafts
-- A person's drafts that are still kept, newest first.
select form, body, saved_at, version
from draft
where person_id = %(person_id)s
  and saved_at > %(kept_since)s
  and (%(form)s::text is null or form = %(form)s::text)
order by saved_at desc, form

-- name: forget_old
-- Deletes everybody's drafts that are kept no longer.
delete from draft
where saved_at <= %(kept_since)s

-- name: count_others
-- How many other drafts a person has.
select count(*)
from draft
where person_id = %(person_id)s
  and form <> %(form)s

-- name: save_draft
-- Saves a draft, if it is still the version that was read; no version overwrites whatever there is.
insert into draft (person_id, form, body, saved_at)
values (%(person_id)s, %(form)s, %(body)s, %(now)s)
on conflict (person_id, form) do update
set
  body = excluded.body,
  saved_at = excluded.saved_at,
  version = draft.version + 1
where %(version)s::integer is null
   or draft.version = %(version)s::integer
returning form, body, saved_at, version

-- name: delete_draft
-- Deletes a draft.
delete from draft
where person_id = %(person_id)s
  and form = %(form)s
returning form
