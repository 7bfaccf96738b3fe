-- Live pages: a change is announced when, and only when, its transaction commits.

create function announce_ticket() returns trigger language plpgsql as $$
begin
  perform pg_notify('wearsight', json_build_object('noun', 'ticket', 'code', new.code, 'state', new.state,
                                                   'version', new.version, 'asset', new.asset_id)::text);
  return null;
end
$$;
create trigger ticket_is_live after insert or update on ticket for each row execute function announce_ticket();

create function announce_finding() returns trigger language plpgsql as $$
begin
  perform pg_notify('wearsight', json_build_object('noun', 'finding', 'id', new.id, 'asset', new.asset_id)::text);
  return null;
end
$$;
create trigger finding_is_live after insert or update on finding for each row execute function announce_finding();

create function announce_prediction() returns trigger language plpgsql as $$
begin
  perform pg_notify('wearsight', json_build_object('noun', 'prediction', 'id', new.id, 'asset', new.asset_id)::text);
  return null;
end
$$;
create trigger prediction_is_live after insert or update on prediction
  for each row execute function announce_prediction();
