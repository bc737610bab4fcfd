package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
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

var small = []string{
	"drain", "drain-defaults", "enqueue-8", "mixed-8", "processes-8", "latency-100", "held-expire", "delayed-500", "failed-100",
}

// eachEngine runs a test on every engine.
func eachEngine(t *testing.T, test func(t *testing.T, engine string, h *host)) {
	t.Helper()
	logs, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	for engine, dsn := range map[string]string{
		postgres: os.Getenv(addressVariable(postgres)), mariadb: os.Getenv(addressVariable(mariadb)), sqlite: t.TempDir(),
	} {
		h, err := openHost(engine, dsn, logs)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.admin.Close() })
		t.Run(engine, func(t *testing.T) { test(t, engine, h) })
	}
}

// Every operation is there, and so is every command.
func TestOperate(t *testing.T) {
	eachEngine(t, func(t *testing.T, _ string, h *host) {
		var table strings.Builder
		if err := operate(t.Context(), h, size{jobs: 20_000, beside: 5_000}, 1, &table); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(table.String(), " ms |\n"); n < 50 || strings.Contains(table.String(), "| – |") {
			t.Errorf("%d operations were measured:\n%s", n, table.String())
		}
	})
}

// Every page of the dashboard is there, and is measured with its refresh where it has one.
func TestPages(t *testing.T) {
	eachEngine(t, func(t *testing.T, _ string, h *host) {
		t.Parallel()
		var table strings.Builder
		if err := pages(t.Context(), h, 1000, 1, 500*time.Millisecond, &table); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(table.String(), "\n| `/"); n < 26 || strings.Contains(table.String(), " 0.0 | ") {
			t.Errorf("%d pages:\n%s", n, table.String())
		}
		for _, page := range []string{"`/`", "`/jobs`", "`/failed`", "`/names`", "`/batches`"} {
			if strings.Contains(table.String(), page) && !regexp.MustCompile("(?m)^\\| "+page+" .* \\| – ").MatchString(table.String()) {
				continue
			}
			t.Errorf("%s has no refresh:\n%s", page, table.String())
		}
	})
}

// Limits, turns and batches can be measured on every engine.
func TestGroups(t *testing.T) {
	eachEngine(t, func(t *testing.T, _ string, h *host) {
		t.Parallel()
		var table strings.Builder
		short := func(name string) bool {
			return !strings.Contains(name, "10,000") && !strings.Contains(name, "snapshot")
		}
		if err := groups(t.Context(), h, size{jobs: 2000, beside: 2000}, short, &table); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(table.String(), "\n| "); n != 8 {
			t.Errorf("%d lines:\n%s", n, table.String())
		}
	})
}

// Every system in Go does each kind of workload, with few jobs.
func TestSystemsDoTheWorkloads(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string, h *host) {
		t.Parallel() // but not the systems on one server, which has connections for so many
		for _, s := range systems() {
			if s.engine != engine || s.open == nil { // the latter need node
				continue
			}
			t.Run(s.name, func(t *testing.T) { doSmall(t, h, s) })
		}
	})
}

func doSmall(t *testing.T, h *host, s system) {
	for _, w := range workloads(s.engine, size{jobs: 100, seconds: 0.8, hold: time.Second, beside: 100}) {
		if !slices.Contains(small, w.name) || !w.suits(s) {
			continue
		}
		r, err := one(t.Context(), h, s, w)
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
		} else if r.Rate <= 0 {
			t.Errorf("%s: %+v has no rate", w.name, r)
		}
	}
}

// The chart is well-formed, and its bars are as long as the rates: also of one that failed, and of what is measured in milliseconds.
func TestChart(t *testing.T) {
	r := report{Engine: postgres, Rounds: 2, Sections: []section{
		{Workload: "drain", Title: "Drain <all>", Systems: []*measured{
			{System: "sqlqueue", Results: []result{{Rate: 300}, {Rate: 500}}},
			{System: "gue", Results: []result{{Rate: 200}, {Rate: 200}}},
			{System: "River", Error: "no such server"},
		}},
		{Workload: "latency-10", Title: "Latency", Systems: []*measured{{System: "sqlqueue", Results: []result{{Rate: 10, P50: 2}}}}},
	}}
	var svg strings.Builder
	r.chart(&svg)
	for decoder := xml.NewDecoder(strings.NewReader(svg.String())); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for text, n := range map[string]int{
		`class="ours" x="215" y="89" width="340.0"`: 1, `class="peer" x="215" y="109" width="170.0"`: 1,
		"<path": 1, ">400<": 1, "Drain &lt;all&gt;": 1, "River": 0, "Latency": 0,
	} {
		if got := strings.Count(svg.String(), text); got != n {
			t.Errorf("%s is there %d times, want %d:\n%s", text, got, n, &svg)
		}
	}
}

// A row of the summary compares ours with the bare loop and with the best peer: the fastest, or the one that waits for the shortest time.
func TestSummary(t *testing.T) {
	r := report{Engine: postgres, Rounds: 3, Sections: []section{
		{Workload: "drain", Systems: []*measured{
			{System: "sqlqueue", Results: []result{{Rate: 60_000}, {Rate: 50_000}, {Rate: 55_000}}},
			{System: "bare loop", Results: []result{{Rate: 110_000}}},
			{System: "River", Results: []result{{Rate: 11_000}}},
			{System: "gue", Results: []result{{Rate: 5_000}}},
		}},
		{Workload: "latency-10-defaults", Systems: []*measured{
			{System: "sqlqueue (defaults)", Results: []result{{Rate: 10, P50: 2, P95: 3}}},
			{System: "River (defaults)", Results: []result{{Rate: 10, P50: 8, P95: 9}}},
			{System: "gue", Error: "no such server"},
		}},
	}}
	var got strings.Builder
	r.summary(&got)
	const want = `|  | sqlqueue | bare loop | River | gue | of the bare loop | × the best peer |
| --- | --- | --- | --- | --- | --- | --- |
| ` + "`drain`" + ` | 55.0k (50.0k–60.0k) | 110k | 11.0k | 5,000 | 50 % | 5.00 (River) |
| ` + "`latency-10-defaults`" + ` | 2.00 / 3.00 ms | – | 8.00 / 9.00 ms | – | – | 4.00 (River) |
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}
