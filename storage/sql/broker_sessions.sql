-- name: word
-- The secret end of our client ids.
select word
from broker_identity

-- name: former
-- The id under which a partition's messages came before, if its session was not ended yet.
select client_id
from former_session
where partition = %(partition)s

-- name: forget_former
-- Note that a former session was emptied and ended.
delete from former_session
where partition = %(partition)s
  and client_id = %(client_id)s
