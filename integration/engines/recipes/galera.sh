#!/bin/bash
# galera.sh up|kill N|start N|down   three nodes of MariaDB with Galera.
set -euo pipefail
what=$1 n=${2:-}
cannot() { echo "$1" >&2; exit 3; }
port() { echo $(($(cat "$DIR/base") + $1)); }
cli() { mariadb --no-defaults -uroot -h127.0.0.1 -P"$(port "$1")" -N -B -e "$2"; }
synced() { [ "$(cli "$1" "SHOW STATUS LIKE 'wsrep_local_state_comment'" 2>/dev/null | cut -f2)" = Synced ]; }
# serve N OPTION…
serve() {
  local i=$1 options peers=""
  shift
  for peer in 1 2 3; do peers+=127.0.0.1:$(port $((10 + peer))),; done
  options="gmcast.listen_addr=tcp://127.0.0.1:$(port $((10 + i)));ist.recv_addr=127.0.0.1:$(port $((20 + i)));ist.recv_bind=127.0.0.1:$(port $((20 + i)));gcache.size=32M"
  setsid mariadbd --no-defaults --user=mysql --datadir="$DIR/$i/data" --bind-address=127.0.0.1 --port="$(port "$i")" \
    --socket="$DIR/$i/socket" --pid-file="$DIR/$i/pid" --skip-name-resolve --max-connections=300 --binlog-format=ROW --innodb-autoinc-lock-mode=2 \
    --wsrep-on=ON --wsrep-provider="$(cat "$DIR/provider")" --wsrep-cluster-name=sqlqueue --wsrep-cluster-address="gcomm://${peers%,}" \
    --wsrep-node-name="node$i" --wsrep-node-address="127.0.0.1:$(port $((10 + i)))" --wsrep-provider-options="$options" \
    --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$(port $((30 + i)))" "$@" >>"$DIR/$i/log" 2>&1 </dev/null &
  for _ in $(seq 300); do synced "$i" && return; sleep 0.2; done
  echo "node $i is not part of the cluster:" >&2; tail -5 "$DIR/$i/log" >&2; return 1
}
case $what in
up)
  for program in mariadbd mariadb mariadb-install-db rsync; do command -v $program >/dev/null || cannot "$program is not installed"; done
  provider=$(ls /usr/lib/galera/libgalera_smm.so /usr/lib*/galera*/libgalera_smm.so 2>/dev/null | head -1) || true
  [ -n "$provider" ] || cannot "Galera (Debian's package galera-4) is not installed"
  [ "$(id -u)" = 0 ] || cannot "it needs root, to run the servers as mysql"
  echo "$provider" >"$DIR/provider"; echo $((30000 + RANDOM % 20000)) >"$DIR/base"; chown mysql "$DIR"
  for i in 1 2 3; do
    mkdir "$DIR/$i"; chown mysql "$DIR/$i"
    mariadb-install-db --no-defaults --user=mysql --datadir="$DIR/$i/data" --skip-test-db --auth-root-authentication-method=normal --skip-name-resolve >/dev/null
  done
  serve 1 --wsrep-new-cluster
  cli 1 "CREATE USER sq@'127.0.0.1' IDENTIFIED BY 'sq'; GRANT ALL ON *.* TO sq@'127.0.0.1' WITH GRANT OPTION; CREATE DATABASE sq"
  serve 2; serve 3
  for i in 1 2 3; do echo "mysql://sq:sq@127.0.0.1:$(port $i)/sq"; done
  ;;
kill) kill -9 "$(cat "$DIR/$n/pid")"; rm -f "$DIR/$n/pid" ;;
start) serve "$n" ;;
down) for i in 3 2 1; do if [ -s "$DIR/$i/pid" ]; then kill -9 "$(cat "$DIR/$i/pid")" || true; fi; done ;;
esac
