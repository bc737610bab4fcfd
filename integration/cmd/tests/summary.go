package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// row is the cases of one engine, in one version.
type row struct {
	servers.Engine

	cases, failed, skipped int
	took                   time.Duration
}

// of tells which row a case belongs to: a name within its own is that of an engine, which may have a version.
func (r *row) of(c result) bool {
	if r.Name == "sqlite" && strings.HasSuffix(c.pkg, "/sqlitequeue") {
		return true
	}
	name := r.Name
	if r.Version != "" && r.Name != "sqlite" {
		name += "_" + r.Version
	}
	return slices.Contains(strings.Split(c.test, "/"), name)
}

// summary prints engines, skips, failures, and last of all the line that is for programs, too.
func (r *report) summary(engines []servers.Engine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := make([]*row, 0, len(engines)+1)
	for _, e := range engines {
		rows = append(rows, &row{Engine: e})
	}
	other := &row{Engine: servers.Engine{Name: "none", Way: "tests without a database, or with several"}}
	rows = append(rows, other)
	outcomes, skips := map[string]int{}, map[string]int{}
	for _, c := range r.cases {
		outcomes[c.outcome]++
		i := slices.IndexFunc(rows, func(r *row) bool { return r.of(c) })
		if i < 0 {
			i = len(rows) - 1
		}
		of := rows[i]
		of.cases++
		of.took += c.elapsed
		switch c.outcome {
		case "fail":
			of.failed++
		case "skip":
			of.skipped++
			skips[c.reason]++
		}
	}

	r.print("\n")
	table := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "engine\tversion\tcases\tfailed\tskipped\ttime\tway")
	for _, w := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n",
			w.Name, cmp.Or(w.Version, "-"), w.cases, w.failed, w.skipped, w.took.Round(time.Second), w.Way)
	}
	_ = table.Flush()
	r.print(fmt.Sprintf("The times of an engine's cases are added up; many run at once. The whole took %s.\n",
		r.now().Sub(r.began).Round(time.Second)))
	r.list(skips)
	r.repeat()
	r.print(fmt.Sprintf("\n%d passed, %d failed, %d skipped\n", outcomes["pass"], outcomes["fail"], outcomes["skip"]))
}

// list prints why cases were skipped.
func (r *report) list(skips map[string]int) {
	if len(skips) == 0 {
		return
	}
	reasons := make([]string, 0, len(skips))
	for reason := range skips {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int { return cmp.Or(cmp.Compare(skips[b], skips[a]), cmp.Compare(a, b)) })
	r.print("\nSkipped:\n")
	for _, reason := range reasons {
		r.print(fmt.Sprintf("%6d  %s\n", skips[reason], cmp.Or(reason, "without a reason")))
	}
}

// repeat prints what failed, and how to run it again.
func (r *report) repeat() {
	if len(r.failures) == 0 {
		return
	}
	r.print("\nFailed, each with the command that runs it again:\n")
	const most = 50
	for _, f := range r.failures[:min(most, len(r.failures))] {
		r.print("  " + f.name + "\n      " + f.again + "\n")
	}
	if n := len(r.failures) - most; n > 0 {
		r.print(fmt.Sprintf("  and %d more\n", n))
	}
}
