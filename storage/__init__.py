"""What `database.Database` is made of: one module a concern, each given an open connection.

Nothing in here opens, commits or closes; `database` alone does, and alone knows SQLite's module.
"""
