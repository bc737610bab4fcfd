#!/bin/bash
# group-replication.sh up|kill N|start N|down   three nodes of MySQL Group Replication, all primaries, in containers on the host's network.
set -euo pipefail
what=$1 n=${2:-} image=${SQLQUEUE_MYSQL_IMAGE:-mysql:9.7}
cannot() { echo "$1" >&2; exit 3; }
port() { echo $(($(cat "$DIR/base") + $1)); }
cli() { docker exec -e MYSQL_PWD=secret "$(cat "$DIR/$1")" mysql --no-defaults -uroot -h127.0.0.1 -P"$(port "$1")" -N -B -e "$2"; }
online() { cli "$1" "SELECT member_state FROM performance_schema.replication_group_members WHERE member_port = $(port "$1")" 2>/dev/null | grep -q ONLINE; }
answers() { # the server that prepares the data listens nowhere
  for _ in $(seq 600); do cli "$1" "SELECT 1" >/dev/null 2>&1 && return; sleep 0.2; done
  docker logs "$(cat "$DIR/$1")" 2>&1 | tail -5 >&2; return 1
}
run() {
  local i=$1 seeds=""
  for peer in 1 2 3; do seeds+=127.0.0.1:$(port $((10 + peer))),; done
  docker run -d --network host -e MYSQL_ROOT_PASSWORD=secret "$image" mysqld --bind-address=127.0.0.1 --port="$(port "$i")" --mysqlx=OFF \
    --skip-name-resolve --max-connections=300 --innodb-redo-log-capacity=64M --server-id="$i" --gtid-mode=ON --enforce-gtid-consistency=ON \
    --log-bin=bin --relay-log=relay --report-host=127.0.0.1 --plugin-load-add=group_replication.so \
    --loose-group-replication-group-name=aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa --loose-group-replication-start-on-boot=OFF \
    --loose-group-replication-local-address="127.0.0.1:$(port $((10 + i)))" --loose-group-replication-ip-allowlist=127.0.0.1 \
    --loose-group-replication-group-seeds="${seeds%,}" --loose-group-replication-single-primary-mode=OFF \
    --loose-group-replication-enforce-update-everywhere-checks=ON --loose-group-replication-recovery-get-public-key=ON >"$DIR/$i"
}
join() {
  for _ in $(seq 200); do
    online "$1" && return
    cli "$1" "START GROUP_REPLICATION USER = 'sq', PASSWORD = 'sq'" >/dev/null 2>&1 || true # it fails while it joins already
    sleep 0.3
  done
  echo "node $1 does not join:" >&2; docker logs "$(cat "$DIR/$1")" 2>&1 | tail -5 >&2; return 1
}
case $what in
up)
  docker version >/dev/null 2>&1 || cannot "there is no container engine"
  docker image inspect "$image" >/dev/null 2>&1 || timeout 300 docker pull -q "$image" >/dev/null 2>&1 || cannot "the image $image is not there and cannot be pulled"
  echo $((20000 + RANDOM % 10000)) >"$DIR/base"
  for i in 1 2 3; do run "$i"; done
  for i in 1 2 3; do
    answers "$i"
    cli "$i" "SET sql_log_bin = 0; CREATE USER sq@'%' IDENTIFIED BY 'sq'; GRANT ALL ON *.* TO sq@'%' WITH GRANT OPTION; CREATE DATABASE sq; SET sql_log_bin = 1"
    cli "$i" "RESET BINARY LOGS AND GTIDS"
    if [ "$i" = 1 ]; then cli 1 "SET GLOBAL group_replication_bootstrap_group = ON"; fi
    join "$i"
    if [ "$i" = 1 ]; then cli 1 "SET GLOBAL group_replication_bootstrap_group = OFF"; fi
    cli "$i" "SET PERSIST_ONLY super_read_only = ON" # a node that starts takes no writes before it has joined: they would keep it out
  done
  for i in 1 2 3; do echo "mysql://sq:sq@127.0.0.1:$(port $i)/sq"; done
  ;;
kill) docker kill "$(cat "$DIR/$n")" >/dev/null ;;
start) docker start "$(cat "$DIR/$n")" >/dev/null; answers "$n"; join "$n" ;;
down) for i in 1 2 3; do if [ -s "$DIR/$i" ]; then docker rm -f -v "$(cat "$DIR/$i")" >/dev/null; fi; done ;;
esac
