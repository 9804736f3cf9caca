"""Many agents on many machines, in one PostgreSQL database. Nothing of it is imported where no hive is named."""
