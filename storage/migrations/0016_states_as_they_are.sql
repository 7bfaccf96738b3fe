-- The detectors' state is nearly incompressible (floating point numbers), and written again every few seconds: trying
-- to compress it cost six times as much as writing it. States saved so far stay as they are until they are saved anew.
alter table checkpoint alter column state set storage external;
