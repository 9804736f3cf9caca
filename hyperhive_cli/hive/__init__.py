"""Many agents on many machines, in one PostgreSQL database. It loads psycopg only if a hive is named."""
