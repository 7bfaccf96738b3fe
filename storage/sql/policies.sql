-- name: policy_text_by_id
-- Returns one version of a policy as text, by which it is parsed once.
select body::text
from policy
where id = %(id)s

-- name: newest_policy
-- Returns the policy of this name that is in force: its highest version.
select id, body
from policy
where name = %(name)s
order by version desc
limit 1

-- name: publish_policy
-- Publishes a new version of a policy; the versions before it stay with the tickets that they opened.
insert into policy (name, version, body, published_at, published_by, reason)
values (
  %(name)s,
  (select coalesce(max(version), 0) + 1 from policy where name = %(name)s),
  %(body)s,
  %(now)s,
  %(person_id)s,
  %(reason)s
)
returning id

-- name: policy_versions
-- The versions of a policy with who published each and why, the one in force first.
select policy.version, policy.body, policy.published_at, person.name, policy.reason
from policy
left join person on person.id = policy.published_by
where policy.name = %(name)s
order by policy.version desc
limit %(limit)s

-- name: hold_policies
-- Lets nobody publish until this transaction ends: the version that was read stays the newest.
lock table policy in share row exclusive mode
