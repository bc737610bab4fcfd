#!/bin/bash
# container.sh citus up|kill N|start N|down   one container of an image that a container engine has or can pull.
set -euo pipefail
name=$1 what=$2
cannot() { echo "$1" >&2; exit 3; }
case $name in
citus)
  image=${SQLQUEUE_CITUS_IMAGE:-citusdata/citus:13.0} port=5432
  options=(-e POSTGRES_HOST_AUTH_METHOD=trust) address='postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable'
  ready() { docker exec "$1" psql -U postgres -h 127.0.0.1 -c 'SELECT 1'; }
  ;;
esac
await() { for _ in $(seq 300); do ready "$1" >/dev/null 2>&1 && return; sleep 0.2; done; docker logs "$1" >&2; return 1; }
case $what in
up)
  docker version >/dev/null 2>&1 || cannot "there is no container engine"
  docker image inspect "$image" >/dev/null 2>&1 || timeout 300 docker pull -q "$image" >/dev/null 2>&1 || cannot "the image $image is not there and cannot be pulled"
  host=$((30000 + RANDOM % 20000)) # fixed, so that it is the same after a kill
  container=$(docker run -d -p "127.0.0.1:$host:$port" "${options[@]}" "$image"); echo "$container" >"$DIR/container"
  await "$container"
  # shellcheck disable=SC2059
  printf "$address\n" "$host"
  ;;
kill) docker kill "$(cat "$DIR/container")" >/dev/null ;;
start) container=$(cat "$DIR/container"); docker start "$container" >/dev/null; await "$container" ;;
down) if [ -e "$DIR/container" ]; then docker rm -f -v "$(cat "$DIR/container")" >/dev/null; fi ;;
esac
