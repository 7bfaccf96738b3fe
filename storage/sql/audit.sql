-- name: act_as
-- Say who makes the changes of this transaction, when, and why.
select set_config('wearsight.person', %(person)s, true), set_config('wearsight.at', %(at)s, true),
       set_config('wearsight.reason', %(reason)s, true)

-- name: changes_of_asset
-- Changes of an asset and of what belongs to it, newest first.
select audit.id, audit.at, person.login, audit.noun, audit.record_id, audit.before, audit.after,
       audit.reason
from audit
left join person on person.id = audit.person_id
where audit.asset_id = %(asset_id)s
  and (%(before)s::bigint is null or audit.id < %(before)s)
order by audit.id desc
limit %(limit)s

-- name: changes_of_record
-- Changes of one record, newest first.
select audit.id, audit.at, person.login, audit.noun, audit.record_id, audit.before, audit.after,
       audit.reason
from audit
left join person on person.id = audit.person_id
where audit.noun = any(%(nouns)s)
  and audit.record_id = %(record_id)s
order by audit.id desc
limit %(limit)s

-- name: changes_of_nouns
-- Changes at these sites of records that belong to no asset, newest first, with the name that the record had then.
select audit.id, audit.at, person.login, audit.noun, audit.record_id, audit.before, audit.after,
       audit.reason, audit.site_id, coalesce(named.name, audit.record_id)
from audit
left join person on person.id = audit.person_id
left join lateral (
  select coalesce(told.after ->> 'name', told.before ->> 'name') as name
  from audit as told
  where told.noun = audit.noun
    and told.record_id = audit.record_id
    and told.id <= audit.id
    and (told.after ? 'name' or told.before ? 'name')
  order by told.id desc
  limit 1
) as named on true
where audit.noun = any(%(nouns)s)
  and audit.asset_id is null
  and (%(sites)s::text[] is null or audit.site_id = any(%(sites)s))
  and (%(before)s::bigint is null or audit.id < %(before)s)
order by audit.id desc
limit %(limit)s
