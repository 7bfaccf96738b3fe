-- name: files_for_one_more
-- How many files an asset has.
select count(*)
from register_file
where asset_id = %(asset_id)s

-- name: insert_file
-- Describe a file of an asset.
insert into register_file (id, asset_id, kind, file_name, media_type, size_bytes, added_by, added_at)
values (%(id)s, %(asset_id)s, %(kind)s, %(file_name)s, %(media_type)s, %(size_bytes)s, %(added_by)s, %(now)s)

-- name: insert_content
-- Keep the bytes of a file.
insert into register_file_content (file_id, content)
values (%(id)s, %(content)s)

-- name: files_of_asset
-- The files of an asset, oldest first, without their bytes.
select register_file.id, register_file.kind, register_file.file_name, register_file.media_type,
       register_file.size_bytes, person.login, register_file.added_at
from register_file
join person on person.id = register_file.added_by
where register_file.asset_id = %(asset_id)s
order by register_file.added_at, register_file.id

-- name: file
-- One file with its bytes and the site of its asset.
select register_file.asset_id, asset.site_id, register_file.file_name, register_file.media_type,
       register_file_content.content
from register_file
join register_file_content on register_file_content.file_id = register_file.id
join asset on asset.id = register_file.asset_id
where register_file.id = %(id)s

-- name: remove_file
-- Remove a file with its bytes.
delete from register_file
where id = %(id)s
