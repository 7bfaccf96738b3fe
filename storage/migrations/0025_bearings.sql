-- Bearings of an asset: their geometry.

-- One bearing per accelerometer: its block's features are named by the metric, and hold the ratios of one bearing.
-- Orders are multiples of the shaft's speed. The geometry they came from is kept to be shown, where somebody gave it.
create table bearing (
  asset_id bigint not null,
  component text not null,
  metric text not null check (length(metric) between 1 and 128),
  bpfo double precision not null check (bpfo > 0 and bpfo <= 100),
  bpfi double precision not null check (bpfi > 0 and bpfi <= 100),
  bsf double precision not null check (bsf > 0 and bsf <= 100),
  ftf double precision not null check (ftf > 0 and ftf <= 100),
  speed_rpm double precision check (speed_rpm > 0 and speed_rpm <= 1000000),
  elements integer check (elements between 3 and 200),
  ball_diameter_mm double precision check (ball_diameter_mm > 0),
  pitch_diameter_mm double precision check (pitch_diameter_mm > ball_diameter_mm),
  contact_angle_deg double precision check (contact_angle_deg >= 0 and contact_angle_deg < 90),
  primary key (asset_id, component),
  foreign key (asset_id, component) references component (asset_id, code),
  unique (asset_id, metric),
  check (num_nulls(elements, ball_diameter_mm, pitch_diameter_mm, contact_angle_deg) in (0, 4))
);
create trigger bearing_is_audited after insert or update or delete on bearing
  for each row execute function audit_register('bearing', 'component');
