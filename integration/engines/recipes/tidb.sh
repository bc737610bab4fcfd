#!/bin/bash
# tidb.sh up|kill N|start N|down   one TiDB server with its embedded storage: installed, or built with Go, which takes a quarter of an hour once.
set -euo pipefail
what=$1
module=github.com/pingcap/tidb commit=20251126154744-e4e814fdc0af
cannot() { echo "$1" >&2; exit 3; }
serve() {
  local port; port=$(cat "$DIR/port")
  cd "$DIR" # for its slow log
  setsid "$(cat "$DIR/program")" -store unistore -path "$DIR/data" -host 127.0.0.1 -P "$port" -socket "" -report-status=false \
    -log-file "$DIR/log" >>"$DIR/out" 2>&1 </dev/null &
  echo $! >"$DIR/pid"
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    kill -0 "$(cat "$DIR/pid")" 2>/dev/null || break
    sleep 0.2
  done
  echo "TiDB does not start:" >&2; tail -5 "$DIR/out" "$DIR/log" >&2; return 1
}
case $what in
up)
  program=$(command -v tidb-server) || {
    command -v go >/dev/null || cannot "tidb-server is not installed, and there is no Go to build it with"
    cache=${XDG_CACHE_HOME:-/var/tmp}/sqlqueue-tidb
    program=$cache/tidb-server
    if [ ! -x "$program" ]; then
      rm -rf "$cache"; mkdir -p "$cache/empty"
      fetch() { (cd "$cache/empty" && GOFLAGS=-mod=mod go mod download -json "$1" 2>/dev/null | sed -n 's/.*"Dir": "\(.*\)",/\1/p'); }
      tidb=$(fetch "$module@v1.1.0-beta.0.$commit") parser=$(fetch "$module/pkg/parser@v0.0.0-$commit")
      [ -n "$tidb" ] && [ -n "$parser" ] || cannot "Go could not get TiDB's source"
      cp -r "$tidb" "$cache/source"; chmod -R u+w "$cache/source"
      cp -r "$parser" "$cache/source/pkg/parser"
      (cd "$cache/source" && GOFLAGS=-mod=mod go build -o "$program" ./cmd/tidb-server >"$cache/log" 2>&1) || cannot "TiDB could not be built: $(tail -1 "$cache/log")"
      chmod -R u+w "$cache/source"; rm -rf "$cache/source"
    fi
  }
  echo "$program" >"$DIR/program"; echo $((30000 + RANDOM % 20000)) >"$DIR/port"
  serve
  echo "mysql://root@127.0.0.1:$(cat "$DIR/port")/test"
  ;;
kill) kill -9 "$(cat "$DIR/pid")" ;;
start) serve ;;
down) if [ -s "$DIR/pid" ]; then kill -9 "$(cat "$DIR/pid")" || true; fi ;;
esac
