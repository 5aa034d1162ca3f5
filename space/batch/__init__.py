"""Many images at once: files and zips in, rows, a table and sorted copies out."""
