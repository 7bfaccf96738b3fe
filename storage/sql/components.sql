-- name: components_of_asset
-- The components of an asset with when each was last fitted.
select coalesce(component.code, fitted.component), component.name, component.serial_number, component.brand,
       component.model, fitted.installed_at
from (select code, name, serial_number, brand, model from component where asset_id = %(asset_id)s) as component
full join (
  select component, max(installed_at) as installed_at
  from component_installation
  where asset_id = %(asset_id)s
  group by component
) as fitted on fitted.component = component.code
order by 1

-- name: put_component
-- Add a component's nameplate or store its next version.
insert into component (asset_id, code, name, serial_number, brand, model)
values (%(asset_id)s, %(code)s, %(name)s, %(serial_number)s, %(brand)s, %(model)s)
on conflict (asset_id, code) do update
set name = excluded.name,
    serial_number = excluded.serial_number,
    brand = excluded.brand,
    model = excluded.model,
    version = component.version + 1
where (component.name, component.serial_number, component.brand, component.model)
      is distinct from (excluded.name, excluded.serial_number, excluded.brand, excluded.model)

-- name: fit_component
-- Note when a component was fitted.
insert into component_installation (asset_id, component, installed_at, source)
values (%(asset_id)s, %(code)s, %(installed_at)s, 'import')
on conflict do nothing
