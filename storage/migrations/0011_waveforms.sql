-- Waveform blocks that the keep policy holds on to; their features are readings like any other (SPEC E3, D4).

create table waveform (
  id bigint generated always as identity primary key,
  device_id bigint not null references device,
  asset_id bigint not null references asset,
  metric text not null check (length(metric) between 1 and 128),
  unit text not null check (length(unit) between 1 and 32),
  rate_hz double precision not null check (rate_hz > 0 and rate_hz < 'infinity'),
  -- Equipment time of the first sample.
  ts timestamptz not null,
  sample_count integer not null check (sample_count between 1 and 262144),
  -- float32: little-endian, as it came. zlib: the same deflated, where that saves enough.
  encoding text not null check (encoding in ('float32', 'zlib')),
  samples bytea not null,
  kept_for text not null check (kept_for in ('schedule', 'finding', 'all')),
  stored_at timestamptz not null,
  unique (device_id, metric, ts)
);
-- Noise does not compress further: the server need not try.
alter table waveform alter column samples set storage external;
create index waveform_of_asset on waveform (asset_id, id desc);
create index waveform_by_age on waveform (stored_at);

-- What was stored for a device on one day (UTC, our clock), so that no device fills the disk.
create table waveform_usage (
  device_id bigint not null references device,
  day date not null,
  bytes bigint not null check (bytes >= 0),
  primary key (device_id, day)
);

-- Whether anything is open on an asset, without a look at all that ever was.
create index finding_by_end on finding (asset_id, cleared_at);
