#!/bin/sh
# Has each file for packages read by the tool that it is written for: make package-check, which says which versions.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

(cd .. && $GORELEASER check --quiet && $ACTIONLINT -shellcheck= .github/workflows/*.yml)

$HELM lint --strict --quiet --values helm/sqlqueue/ci/full-values.yaml --set podMonitor.enabled=true helm/sqlqueue
mkdir "$scratch/kubernetes"
$HELM template sqlqueue helm/sqlqueue --values helm/sqlqueue/ci/full-values.yaml > "$scratch/kubernetes/full.yaml"
$HELM template sqlqueue helm/sqlqueue --values kubernetes/values.yaml > "$scratch/kubernetes/sqlqueue.yaml"
diff -u kubernetes/sqlqueue.yaml "$scratch/kubernetes/sqlqueue.yaml" || {
    echo "contrib/kubernetes/sqlqueue.yaml is not what the chart gives: make manifests" >&2
    exit 1
}
$KUBECTL_VALIDATE --version 1.30 "$scratch/kubernetes"

if command -v systemd-analyze >/dev/null; then
    for unit in systemd/*.service; do # it looks for the program
        sed 's|/usr/bin/sqlqueue|/bin/true|' "$unit" > "$scratch/${unit#systemd/}"
    done
    systemd-analyze verify "$scratch"/*.service
else
    echo "no systemd-analyze: the units were not checked"
fi
