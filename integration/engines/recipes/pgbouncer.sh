#!/bin/bash
# pgbouncer.sh up|kill N|start N|down   a PostgreSQL server, and a pgbouncer in transaction mode before it. The node is the pgbouncer.
set -euo pipefail
here=$(dirname "$0")
cannot() { echo "$1" >&2; exit 3; }
serve() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- pgbouncer -q -d "$DIR/settings"; else pgbouncer -q -d "$DIR/settings"; fi
}
export DIR
case $1 in
up)
  command -v pgbouncer >/dev/null || cannot "pgbouncer is not installed"
  major=$(ls /usr/lib/postgresql 2>/dev/null | sort -V | tail -1); major=${major:-17}
  echo "$major" >"$DIR/major"
  bash "$here/postgres.sh" "$major" up >"$DIR/direct"
  port=$((30000 + RANDOM % 20000))
  cat >"$DIR/settings" <<I
[databases]
* = host=127.0.0.1 port=$(cat "$DIR/port")
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
auth_file = $DIR/users
pidfile = $DIR/pgbouncer.pid
logfile = $DIR/pgbouncer.log
pool_mode = transaction
default_pool_size = 20
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits,timezone,deadlock_timeout,default_query_exec_mode
I
  # any user is the one of the server
  sed -i "s/^\* = /* = user=postgres /" "$DIR/settings"
  echo '"postgres" ""' >"$DIR/users"
  [ "$(id -u)" != 0 ] || chown postgres "$DIR/settings" "$DIR/users"
  serve
  echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable&default_query_exec_mode=exec"
  ;;
kill) kill -9 "$(cat "$DIR/pgbouncer.pid")"; rm -f "$DIR/pgbouncer.pid" ;;
start) serve ;;
down)
  if [ -s "$DIR/pgbouncer.pid" ]; then kill "$(cat "$DIR/pgbouncer.pid")" || true; fi
  if [ -e "$DIR/major" ]; then bash "$here/postgres.sh" "$(cat "$DIR/major")" down; fi
  ;;
esac
