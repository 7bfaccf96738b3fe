-- name: act_as
-- Say who makes the changes of this transaction, and when.
select set_config('wearsight.person', %(person)s, true), set_config('wearsight.at', %(at)s, true)

-- name: changes_of_asset
-- Changes of an asset and of what belongs to it, newest first.
select audit.id, audit.at, person.login, audit.noun, audit.record_id, audit.before, audit.after
from audit
left join person on person.id = audit.person_id
where audit.asset_id = %(asset_id)s
  and (%(before)s::bigint is null or audit.id < %(before)s)
order by audit.id desc
limit %(limit)s
