-- Backtests of whole fleets, all machines of a type or those of it at a site, and why a rule was changed (SPEC D7).

alter table backtest
  drop constraint backtest_asset_ids_check,
  add constraint backtest_asset_ids_check check (cardinality(asset_ids) between 1 and 2000);

-- Why this version was published; null where nobody has said.
alter table rule
  add column reason text check (length(reason) between 1 and 200);
