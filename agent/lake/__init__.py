"""The store of a fleet: files of rows in a bucket or a folder, and the log that says which of them count."""
