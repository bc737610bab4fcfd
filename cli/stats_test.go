package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// The rates are those of whole minutes, and what is waiting counts as pushed.
func TestE5_Stats(t *testing.T) {
	t.Parallel()
	atFixedTime(t, testStats)
}

func testStats(t *testing.T) {
	s := migrated(t)
	if got := s.ok("stats", "--json"); got != "[]\n" {
		t.Errorf("without jobs: %q", got)
	}
	s.ok("push", "a", "--queue", "mail", "--count", "3")
	minute := time.Now().Truncate(time.Minute)
	// in the minute before the last one
	s.exec("UPDATE jobs SET created_at = ?, available_at = created_at", minute.Add(-90*time.Second).UnixMicro())
	for i, n := range []int{7, 10, 20, 30, 40, 50, 60, 70} {
		s.exec("INSERT INTO job_counts (minute, queue, pushed, done, failed, released) VALUES (?, 'gone', ?, ?, 1, 0)",
			minute.Add(-time.Duration(i)*time.Minute).UnixMicro(), 2*n, n)
	}
	var got []operator.QueueStats
	fromJSON(t, s.ok("stats", "--json", "--since", "10m"), &got)
	if len(got) != 2 || got[0].Queue != "gone" || got[1].Queue != "mail" || got[1].Ready != 3 || got[0].CountedTo != term.CountedTo {
		t.Fatalf("the stats are %+v", got)
	}
	if len(got[0].Minutes) != 8 || got[0].Minutes[7].Done != 7 || got[0].Minutes[7].Pushed != 14 ||
		!got[0].Minutes[7].Minute.Equal(minute) {
		t.Errorf("the minutes are %+v", got[0].Minutes)
	}
	for i, want := range []operator.Rates{
		{Minutes: 1, Pushed: 20, Done: 10, Failed: 1},
		{Minutes: 5, Pushed: 60, Done: 30, Failed: 1},
		{Minutes: 10, Pushed: 56, Done: 28, Failed: 0.7},
	} {
		if got[0].Rates[i] != want {
			t.Errorf("the rates are %+v, want %+v", got[0].Rates[i], want)
		}
	}
	if r := got[1].Rates; r[0].Pushed != 0 || r[1].Pushed != 0.6 {
		t.Errorf("the rates of what waits are %+v", r)
	}
	fromJSON(t, s.ok("stats", "--json", "--since", "3m", "--queue", "gone"), &got)
	if len(got) != 1 || len(got[0].Rates) != 2 || got[0].Rates[1].Minutes != 3 || got[0].Rates[1].Done != 20 {
		t.Errorf("of one queue: %+v", got)
	}
	if out := s.ok("stats", "--since", "1m"); !strings.Contains(out, "PER MINUTE  1M  TREND, EACH 1M\n") {
		t.Errorf("of one minute:\n%s", out)
	}
	var queues []listedQueue
	fromJSON(t, s.ok("queues", "--json"), &queues)
	if len(queues) != 1 || queues[0].Pushed != 0.6 || queues[0].Ready != 3 {
		t.Errorf("the queues are %+v", queues)
	}
	s.fails(2, []string{"--since: 30s is not between 1m and 2d"}, "stats", "--since", "30")
	s.fails(2, []string{"--since: 3d is not between 1m and 2d"}, "stats", "--since", "3d")
	s.fails(2, []string{"--watch: 0s is not positive"}, "stats", "--watch=0")
	s.fails(2, []string{`--watch: "soon" is not a duration`}, "stats", "--watch", "soon")
	s.fails(2, []string{`does not take "5"`}, "stats", "5")
}

// What is only a lower bound is marked.
func TestE5_LowerBounds(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)
		INSERT INTO jobs (queue, payload) SELECT 'mail', '{"job":"a"}' FROM n`)
	if out := s.ok("queues"); !strings.Contains(out, "mail   10000+  ") {
		t.Errorf("the queues are\n%s", out)
	}
	if out := s.ok("queues", "--exact"); !strings.Contains(out, "mail   10001  ") {
		t.Errorf("the exact queues are\n%s", out)
	}
	if out := s.ok("queues", "--json"); !strings.Contains(out, `"ready":10000,`) || !strings.Contains(out, `"counted_to":10000,`) {
		t.Errorf("the JSON is %s", out)
	}
	if out := s.ok("stats"); !strings.Contains(out, "mail   10000+  ") {
		t.Errorf("the stats are\n%s", out)
	}
	if out := s.ok("clear", "--dry-run"); out != "would delete 10000+ jobs of all queues for good\n" {
		t.Errorf("printed %q", out)
	}
	now := time.Date(2030, 1, 1, 12, 0, 30, 0, time.UTC)
	table := (&stats{since: 5 * time.Minute}).trendTable(operator.Stats{
		Now:     now,
		Periods: []time.Duration{time.Minute, 5 * time.Minute},
		Queues: []operator.QueueStats{{
			QueueInfo: operator.QueueInfo{Queue: "mail"},
			Rates:     []operator.Rates{{Pushed: 3}, {Pushed: 4, AtLeast: true}},
			Minutes:   []operator.Minute{{Minute: now.Truncate(time.Minute)}},
		}},
	})
	if row := table.Rows[0]; row[2] != "3" || row[3] != "4+" {
		t.Errorf("the row is %q", row)
	}
}

func TestTrendStep(t *testing.T) {
	t.Parallel()
	for period, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, 30 * time.Minute: time.Minute, time.Hour: 2 * time.Minute,
		term.Day: time.Hour, 2 * term.Day: 2 * time.Hour, 31 * time.Minute: 2 * time.Minute,
	} {
		if got := trendStep(period); got != want {
			t.Errorf("a step of %v is %v, want %v", period, got, want)
		}
	}
}
