-- A simulated month: what the sensors of its machines need to know.

-- name: device_of_asset
-- Returns the first device of an asset, with the asset's type.
select device.id, asset.asset_type_id
from device
join asset on asset.id = device.asset_id
where asset.id = %(asset_id)s
order by device.id
limit 1
