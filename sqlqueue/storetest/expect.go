package storetest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func (f *fixture) between(what string, t, from, to time.Time) {
	f.Helper()
	if t.Before(from) || t.After(to) {
		f.Errorf("%s is %v, want between %v and %v", what, t, from, to)
	}
}

// defaultNow is the clock by which the tables' defaults go. A database in the process has its own, which need not be Go's.
func (f *fixture) defaultNow(c *client) time.Time {
	f.Helper()
	if f.db.RowLocks {
		return c.now()
	}
	return time.UnixMicro(int64(f.count("SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)")))
}

func (f *fixture) samePayload(payload []byte, want string) {
	f.Helper()
	if !sameJSON(payload, want) {
		f.Errorf("payload is %.300s, want %.300s", payload, want)
	}
}

// sameJSON compares JSON as a program reads it: a database may write it with other spaces, but not with other numbers.
func sameJSON(got []byte, want string) bool {
	if string(got) == want {
		return true
	}
	read := func(text []byte) (v any, err error) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		err = decoder.Decode(&v)
		return v, err
	}
	a, errA := read(got)
	b, errB := read([]byte(want))
	return errA == nil && errB == nil && reflect.DeepEqual(a, b)
}

// sameIDs compares the jobs' ids and order.
func (f *fixture) sameIDs(jobs []sqlqueue.Job, want ...int64) {
	f.Helper()
	if got := idsOf(jobs); !slices.Equal(got, want) {
		if len(got)+len(want) > 40 {
			f.Fatalf("got %d jobs, want %d, or in another order", len(got), len(want))
		}
		f.Fatalf("got jobs %v, want %v", got, want)
	}
}

func idsOf(jobs []sqlqueue.Job) []int64 {
	ids := make([]int64, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	return ids
}

// allJobs reads every page.
func (f *fixture) allJobs(c *client) []sqlqueue.Job {
	f.Helper()
	var all []sqlqueue.Job
	for after := int64(0); ; {
		page, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{After: after, Limit: 1000})
		f.must(err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1].ID
	}
}

func (f *fixture) empty() {
	f.Helper()
	if n := f.count("SELECT count(*) FROM {jobs}"); n != 0 {
		f.Errorf("there are %d jobs, want none", n)
	}
}

// sameJob compares two readings of a job.
func (f *fixture) sameJob(got, want sqlqueue.Job) {
	f.Helper()
	f.samePayload(got.Payload, string(want.Payload))
	got.Payload, want.Payload = nil, nil
	for _, t := range []struct {
		what      string
		got, want *time.Time
	}{
		{"reserved_at", &got.ReservedAt, &want.ReservedAt},
		{"expires_at", &got.ExpiresAt, &want.ExpiresAt},
		{"available_at", &got.AvailableAt, &want.AvailableAt},
		{"created_at", &got.CreatedAt, &want.CreatedAt},
	} {
		if !t.got.Equal(*t.want) {
			f.Errorf("job %d: %s is %v, want %v", want.ID, t.what, *t.got, *t.want)
		}
		*t.got, *t.want = time.Time{}, time.Time{}
	}
	if got.ID != want.ID || got.Queue != want.Queue || got.Priority != want.Priority || got.Attempts != want.Attempts ||
		got.Reserved != want.Reserved || got.ReservedBy != want.ReservedBy || got.UniqueKey != want.UniqueKey {
		f.Errorf("got %+v, want %+v", got, want)
	}
}
