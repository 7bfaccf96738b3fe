-- Registration is announced when it commits, so that ingesters see new devices and rules without asking every second.

create function announce_registration() returns trigger language plpgsql as $$
begin
  perform pg_notify('wearsight_registration', '');
  return null;
end
$$;
create trigger device_registration_is_announced
  after insert or delete or update of site_id, name, asset_id, time_policy, expected_interval_s on device
  for each statement execute function announce_registration();
create trigger asset_registration_is_announced after update of asset_type_id on asset
  for each statement execute function announce_registration();
create trigger rule_is_announced after insert or update or delete on rule
  for each statement execute function announce_registration();

-- Presence is written with every batch: room on each page keeps those updates in place.
alter table device set (fillfactor = 50);
alter table checkpoint set (fillfactor = 50);
