-- name: policy_by_id
-- Returns one version of a policy; a version never changes.
select body
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
insert into policy (name, version, body, published_at, published_by)
values (
  %(name)s,
  (select coalesce(max(version), 0) + 1 from policy where name = %(name)s),
  %(body)s,
  %(now)s,
  %(person_id)s
)
returning id
