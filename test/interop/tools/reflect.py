"""Reflects a running node by SQLAlchemy's rqlite dialect, drops and makes all tables again, and prints the names that it saw as JSON."""

import json
import sys

from sqlalchemy import MetaData, create_engine, inspect
from sqlalchemy_rqlite.pyrqlite import SQLiteDialect_rqlite

# The dialect (2.0) was written for SQLAlchemy 1 and tells no version, without which SQLAlchemy 2 reflects nothing.
SQLiteDialect_rqlite._get_server_version_info = lambda self, connection: tuple(
    int(part) for part in connection.exec_driver_sql("SELECT sqlite_version()").scalar().split(".")
)

engine = create_engine(f"rqlite+pyrqlite://127.0.0.1:{sys.argv[1]}/")
metadata = MetaData()
metadata.reflect(bind=engine)
inspector = inspect(engine)
seen = set(metadata.tables) | set(inspector.get_table_names()) | set(inspector.get_view_names())
metadata.drop_all(bind=engine)
left = inspect(engine).get_table_names()
assert left == [], left
metadata.create_all(bind=engine)
assert set(inspect(engine).get_table_names()) == set(metadata.tables)
print(json.dumps(sorted(seen)))
