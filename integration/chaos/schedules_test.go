package chaos

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestSchedules: while workers are killed and started again, each time of each schedule becomes one job.
func TestSchedules(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	workers, schedules, lasts, between := 4, 20, 5*time.Second, 500*time.Millisecond
	if *long {
		workers, schedules, lasts, between = 20, 100, time.Minute, 2*time.Second
	}
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		database := w.open(w.direct)
		for i := range schedules {
			name := fmt.Sprint("ticks/", i)
			job := sqlqueue.With(sqlqueue.Named("tick", nil), sqlqueue.OnQueue(name))
			w.must(database.Queue.Schedule(t.Context(), sqlqueue.Schedule{Name: name, Every: "1s", Missed: sqlqueue.AllMissed, Job: job}))
		}
		w.work(workers, "--queue", "others")
		end, kills := time.Now().Add(lasts), 0
		for ; time.Now().Before(end); kills++ {
			w.pass(between)
			w.team.signal(w.team.any(), syscall.SIGKILL)
		}
		o := operator.New(database.Queue)
		const most = time.Minute
		if !w.await(most, func(ctx context.Context) bool {
			listed, err := o.Schedules(ctx)
			return err == nil && !slices.ContainsFunc(listed, func(of operator.Schedule) bool { return of.LastAt.Before(end) })
		}) {
			t.Errorf("not every schedule has come to %v, when the last worker was killed", end)
		}
		w.team.stop()

		all := 0
		listed, err := o.Schedules(t.Context())
		w.must(err)
		ticks := w.ticks(database.DB)
		for _, of := range listed {
			var want []time.Time
			for at := of.CreatedAt.Add(time.Second); !at.After(of.LastAt); at = at.Add(time.Second) {
				want = append(want, at)
			}
			if got := ticks[of.Name]; len(want) == 0 || !slices.EqualFunc(got, want, time.Time.Equal) || of.Runs != int64(len(want)) {
				t.Errorf("schedule %s has come %d times: its jobs are of %v, want %v", of.Name, of.Runs, got, want)
			}
			all += len(ticks[of.Name])
		}
		t.Logf("%d kills: %d jobs of %d schedules, each time once", kills, all, len(listed))
		if len(listed) != schedules {
			t.Errorf("%d schedules, want %d", len(listed), schedules)
		}
	})
}

// ticks returns the times that the jobs of each queue are of, in order.
func (w *world) ticks(db *sql.DB) map[string][]time.Time {
	w.Helper()
	rows, err := db.QueryContext(w.Context(), "SELECT queue, payload FROM jobs")
	w.must(err)
	defer func() { _ = rows.Close() }()
	ticks := map[string][]time.Time{}
	for rows.Next() {
		var queue string
		var text []byte
		w.must(rows.Scan(&queue, &text))
		payload, err := sqlqueue.ParsePayload(text)
		w.must(err)
		ticks[queue] = append(ticks[queue], payload.Tick)
	}
	w.must(rows.Err())
	for _, of := range ticks {
		slices.SortFunc(of, time.Time.Compare)
	}
	return ticks
}

// TestOncePerPeriod: of many pushes by eight processes, one of each period is a job, while workers run these jobs.
func TestOncePerPeriod(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	period := 2 * time.Second
	if *long {
		period = time.Minute
	}
	lasts := 3 * period
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(2)
		type push struct {
			id         int64
			begin, end time.Time
		}
		var mu sync.Mutex
		var pushed, duplicates []push
		var processes sync.WaitGroup
		database := w.open(w.direct)
		for end := time.Now().Add(lasts); len(pushed) < 2 || time.Now().Before(end); {
			for range 8 {
				processes.Go(func() {
					cmd := exec.CommandContext(t.Context(), binaries["old"], "push", Plain, "{}", "--unique", "k", "--once",
						period.String())
					cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+w.direct)
					var said strings.Builder
					cmd.Stderr = &said
					p := push{begin: time.Now()}
					out, err := cmd.Output()
					p.end = time.Now()
					if err != nil {
						t.Errorf("push: %v: %s", err, said.String())
						return
					}
					if p.id, err = strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if said.Len() == 0 {
						pushed = append(pushed, p)
					} else {
						duplicates = append(duplicates, p)
					}
				})
			}
			processes.Wait()
			if !w.await(time.Minute, func(ctx context.Context) bool { // a job that is not done holds its key longer
				count := -1
				return database.QueryRowContext(ctx, "SELECT count(*) FROM jobs").Scan(&count) == nil && count == 0
			}) {
				t.Fatal("the jobs are not done")
			}
		}
		w.team.stop()

		slices.SortFunc(pushed, func(a, b push) int { return cmp.Compare(a.id, b.id) }) // the order in which they had the key
		made := map[int64]push{}
		for i, p := range pushed {
			made[p.id] = p
			if i > 0 && p.end.Sub(pushed[i-1].begin) < period {
				t.Errorf("jobs %d and %d were pushed within %v", pushed[i-1].id, p.id, period)
			}
		}
		for _, d := range duplicates {
			if of := made[d.id]; of.id == 0 || d.begin.After(of.end.Add(period)) {
				t.Errorf("a push that began %v after the period of job %d had begun was a duplicate of it", d.begin.Sub(of.end), d.id)
			}
		}
		t.Logf("%d pushes in %v: %d jobs", len(pushed)+len(duplicates), lasts, len(pushed))
	})
}

// TestSchedulesGoByTheDatabasesClock: a worker on a host whose clock is five hours ahead runs what is due, and nothing early.
func TestSchedulesGoByTheDatabasesClock(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		w := newWorld(t, place{server: s}, binaries, newRandom(t))
		run := func(version string, args ...string) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), binaries[version], args...)
			cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+w.direct)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%q: %v: %s", args, err, out)
			}
		}
		run("old", "schedule", "set", "later", "job", "--every", "2h")
		run("old", "schedule", "set", "soon", "job", "--every", "1s")
		run("ahead", "work", "--exec", "true", "--max-jobs", "2")

		o := operator.New(w.open(w.direct).Queue)
		later, err := o.Schedule(t.Context(), "later")
		w.must(err)
		soon, err := o.Schedule(t.Context(), "soon")
		w.must(err)
		if later.Runs != 0 || soon.Runs < 2 {
			t.Errorf("the schedule of every second has run %d times, that of every two hours %d times", soon.Runs, later.Runs)
		}
	})
}
