package storetest

import (
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// nameDoubtful inserts payloads of whose name databases think differently, and compares everything that knows names with ParsePayload.
func nameDoubtful(f *fixture) {
	c := f.open()
	payloads := []string{
		`{"job":"mine","data":1}`, `{"job":"mine","job":"yours"}`, `{"job":"yours","job":"mine"}`, `{"job":"mine","job":"mine"}`,
		`{"j\u006fb":"mine"}`, `{"j\u006Fb":"yours","job":"mine"}`, `{"job":"mine","data":1,"data":2}`,
		`{"tries":1,"tries":2,"job":"mine"}`, `{"timeout":"long","job":"mine"}`, `{"data":{"job":"mine"}}`,
		`{"data":{"job":"yours"},"job":"mine"}`, `{"data":"job","job":"mine"}`,
		`{"job":"job","data":"mine"}`, `{"job":"m\u0069ne"}`, `{"job":"mine","data":"\u0000"}`,
		`{"job":"yours","data":"\ud83c","job":"mine"}`, `{"job":"mine","data":"\ud83c\udf89"}`, `{"job":"mine","data":"\\u0000"}`,
		`{"job":5}`, `{"job":{"job":"mine"}}`, `{"job":["mine"]}`, `["mine"]`,
		`{"job":null}`, `{"data":"{\"job\":\"mine\"}"}`, `{"Job":"mine"}`, `{"job":"yours"}`,
	}
	for _, payload := range payloads { // operators have databases read the name in a long payload
		payloads = append(payloads, payload+strings.Repeat(" ", 1000))
	}
	for _, payload := range payloads {
		if _, err := f.db.SQL.ExecContext(f.Context(), f.sql("INSERT INTO {jobs} (queue, payload) VALUES ('default', ?)"),
			payload); err != nil {
			f.Logf("the database refuses %s: %v", payload, err)
			continue
		}
		f.inserted()
	}
	names := []string{"mine", "yours", "job", "5", `{"job":"mine"}`, `["mine"]`, "null"}
	name := func(payload []byte) string {
		p, _ := sqlqueue.ParsePayload(payload)
		return p.Job
	}
	all := f.allJobs(c)
	for _, wanted := range names {
		var want []int64
		for _, j := range all {
			if name(j.Payload) == wanted {
				want = append(want, j.ID)
			}
		}
		for _, filter := range []operator.JobFilter{
			{Name: wanted}, {Name: wanted, PayloadMax: 9}, {Name: wanted, State: operator.Ready, Queue: "default"},
		} {
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), filter)
			f.must(err)
			if got := idsOf(jobs); !slices.Equal(got, want) {
				f.Errorf("%+v: got the jobs %v, want %v", filter, got, want)
			}
			n, err := operator.New(c.Queue).CountJobs(f.Context(), filter, 1000)
			if err != nil || n != len(want) {
				f.Errorf("%+v: counted %d, %v; want %d", filter, n, err, len(want))
			}
		}
		var paged []int64
		for filter := (operator.JobFilter{Name: wanted, Limit: 1}); ; {
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), filter)
			f.must(err)
			if len(jobs) == 0 {
				break
			}
			paged, filter.After = append(paged, jobs[0].ID), jobs[0].ID
		}
		if !slices.Equal(paged, want) {
			f.Errorf("one by one: got the jobs %v named %q, want %v", paged, wanted, want)
		}
	}

	var settle []driver.Settlement
	for _, j := range c.reserve(len(all), "default") {
		settle = append(settle, fail(j, "an error", ""))
	}
	c.settle(settle...)
	counted := map[string]int64{}
	for _, j := range all {
		counted[name(j.Payload)]++
	}
	groups, err := operator.New(c.Queue).FailedGroups(f.Context(), operator.FailedFilter{}, 1000)
	f.must(err)
	if len(groups) != len(counted) {
		f.Errorf("got the groups %+v, want them of %v", groups, counted)
	}
	for _, g := range groups {
		if g.Count != counted[g.Name] {
			f.Errorf("%d failed jobs are named %q, want %d", g.Count, g.Name, counted[g.Name])
		}
	}
	for _, wanted := range names {
		for _, most := range []int{0, 9} {
			jobs, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{Name: wanted, TextMax: most})
			if err != nil || int64(len(jobs)) != counted[wanted] {
				f.Errorf("got %d failed jobs named %q, %v; want %d", len(jobs), wanted, err, counted[wanted])
			}
		}
	}
	groups, err = operator.New(c.Queue).FailedGroups(f.Context(), operator.FailedFilter{Name: "mine"}, 2)
	if err != nil || len(groups) != 1 || groups[0].Count != 2 {
		f.Errorf("got the groups %+v, %v; want one of the newest two", groups, err)
	}
	if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{Name: "mine"}); err != nil || int64(n) != counted["mine"] {
		f.Errorf("retried %d, %v; want %d", n, err, counted["mine"])
	}
	if n, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{Name: "yours"}); err != nil ||
		int64(n) != counted["yours"] {
		f.Errorf("forgot %d, %v; want %d", n, err, counted["yours"])
	}
	if n, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{Name: "mine"}); err != nil || int64(n) != counted["mine"] {
		f.Errorf("cancelled %d, %v; want %d", n, err, counted["mine"])
	}
}
