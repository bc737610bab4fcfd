package main

import (
	"context"
	"log"
	"os"
	"slices"
	"testing"
	"time"
)

// TestMain makes the test's own binary a system's process, and runs it again with private servers.
func TestMain(m *testing.M) {
	if name := os.Getenv(serveVariable); name != "" {
		if err := serveNamed(name); err != nil {
			log.Fatal(err)
		}
		return
	}
	if os.Getenv(addressVariable(postgres)) == "" {
		if err := underServers(context.Background(), postgres, mariadb); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

var small = []string{"drain", "drain-defaults", "enqueue-batch", "enqueue-8", "mixed-8", "processes-8", "latency-100", "latency-100-defaults", "held"}

// Every system in Go does each kind of workload, with few jobs.
func TestSystemsDoTheWorkloads(t *testing.T) {
	logs, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]*host{}
	for engine, dsn := range map[string]string{
		postgres: os.Getenv(addressVariable(postgres)), mariadb: os.Getenv(addressVariable(mariadb)), sqlite: t.TempDir(),
	} {
		h, err := openHost(engine, dsn, logs)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.admin.Close() })
		hosts[engine] = h
	}
	for _, s := range systems() {
		if s.open == nil { // needs node
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			for _, w := range workloads(s.engine, size{jobs: 100, seconds: 0.4, hold: time.Second}) {
				if !slices.Contains(small, w.name) || !w.suits(s) {
					continue
				}
				r, err := one(t.Context(), hosts[s.engine], s, w)
				if err != nil {
					t.Errorf("%s: %v", w.name, err)
				} else if r.Rate <= 0 {
					t.Errorf("%s: %+v has no rate", w.name, r)
				}
			}
		})
	}
}
