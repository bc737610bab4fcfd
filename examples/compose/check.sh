#!/bin/sh
# Runs the demo until a worker has run a job and the dashboard answers.
set -eu
cd "$(dirname "$0")"
trap 'docker compose logs --tail 30; docker compose down --volumes' EXIT
docker compose up --build --detach
for condition in 'docker compose logs worker | grep -q "invoice sent"' 'curl -fsS http://localhost:8080/readyz'; do
    tries=120
    until sh -c "$condition"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "not within two minutes: $condition" >&2; exit 1; }
        sleep 1
    done
done
