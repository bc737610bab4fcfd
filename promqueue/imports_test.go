package promqueue_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A program that imports neither promqueue nor otelqueue has nothing of Prometheus or OpenTelemetry in it.
func TestNothingElseImportsMetrics(t *testing.T) {
	t.Parallel()
	const module = "github.com/sqlqueue/sqlqueue/"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"sqlqueue/...", module+"worker/...", module+"migrations/...",
		module+"dashboard/...")
	packages, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(packages), module+"worker\n") {
		t.Fatalf("the worker is not listed:\n%s", packages)
	}
	for name := range strings.Lines(string(packages)) {
		for _, metrics := range []string{"prometheus", "opentelemetry", "promqueue", "otelqueue"} {
			if strings.Contains(name, metrics) {
				t.Errorf("%s is imported", strings.TrimSpace(name))
			}
		}
	}
}
