#!/bin/bash
# haproxy.sh up|kill N|start N|down   three nodes of Galera, and an HAProxy before them that sends all to one of them. The node is the HAProxy;
# a kill is that of the node which it sends to.
set -euo pipefail
here=$(dirname "$0")
cannot() { echo "$1" >&2; exit 3; }
export DIR
case $1 in
up)
  command -v haproxy >/dev/null || cannot "HAProxy is not installed"
  bash "$here/galera.sh" up >"$DIR/nodes"
  base=$(cat "$DIR/base")
  mariadb --no-defaults -uroot -h127.0.0.1 -P"$((base + 1))" -e "CREATE USER check_only@'127.0.0.1'" # for mysql-check, without a password
  cat >"$DIR/haproxy.cfg" <<I
global
  maxconn 1000
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen galera
  bind 127.0.0.1:$((base + 9))
  option mysql-check user check_only
  default-server check inter 500ms fall 2 rise 2 on-marked-down shutdown-sessions
  server node1 127.0.0.1:$((base + 1)) on-marked-up shutdown-backup-sessions
  server node2 127.0.0.1:$((base + 2)) backup
  server node3 127.0.0.1:$((base + 3)) backup
I
  haproxy -D -f "$DIR/haproxy.cfg" -p "$DIR/haproxy.pid" >"$DIR/haproxy.log" 2>&1
  echo "mysql://sq:sq@127.0.0.1:$((base + 9))/sq"
  ;;
kill | start) bash "$here/galera.sh" "$1" 1 ;;
down)
  if [ -s "$DIR/haproxy.pid" ]; then kill "$(cat "$DIR/haproxy.pid")" || true; fi
  bash "$here/galera.sh" down
  ;;
esac
