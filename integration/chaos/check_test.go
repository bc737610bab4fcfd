package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestCheck plants what must not happen, and expects it to be found.
func TestCheck(t *testing.T) {
	const token = "t1"
	event := func(what string, attempt int) Event {
		return Event{What: what, Kind: Plain, Token: token, Job: 7, Attempt: attempt}
	}
	of := func(kind string, events ...Event) []Event {
		for i := range events {
			events[i].At, events[i].Kind = int64(i+1)*1e6, kind
		}
		return events
	}
	pushed, begun, done := event(Committed, 0), event(Begun, 1), event(Done, 1)
	fails := Tables{Failed: map[string][]Left{token: {{7, 2, "no"}}}}
	for name, c := range map[string]struct {
		events []Event
		tables Tables
		want   string // empty: nothing is wrong
	}{
		"a job that ends well":              {of(Plain, pushed, begun, done), Tables{}, ""},
		"one whose worker died":             {of(Plain, pushed, begun, event(Begun, 2), event(Done, 2)), Tables{}, ""},
		"one that stood still meanwhile":    {of(Plain, pushed, event(Begun, 2), event(Done, 2), begun, event(Lost, 1)), Tables{}, ""},
		"one whose end was not told":        {of(Plain, pushed, begun), Tables{}, ""},
		"one that was lost":                 {of(Plain, pushed, begun, event(Begun, 2), event(Lost, 1), event(Done, 2)), Tables{}, ""},
		"an unknown push that is not there": {of(Plain, event(Unknown, 0)), Tables{}, ""},
		"an unknown push that is":           {of(Plain, event(Unknown, 0), begun, done), Tables{}, ""},
		"a rollback":                        {of(Plain, event(RolledBack, 0)), Tables{}, ""},
		"a transfer":                        {of(Transfer, pushed, begun, done), Tables{Effects: map[string]int{token: 1}}, ""},
		"a doomed job":                      {of(Doomed, pushed, begun, event(Begun, 2), event(Failed, 2)), fails, ""},

		"never ran":                 {of(Plain, pushed), Tables{}, "never ran"},
		"still waits":               {of(Plain, pushed, begun), Tables{Jobs: map[string]int64{token: 7}}, "still waits"},
		"nobody pushed it":          {of(Plain, begun, done), Tables{}, "nobody pushed"},
		"in the table from nowhere": {nil, Tables{Jobs: map[string]int64{token: 7}}, "nobody pushed"},
		"an effect from nowhere":    {nil, Tables{Effects: map[string]int{token: 1}}, "nobody pushed"},
		"a rollback ran":            {of(Plain, event(RolledBack, 0), begun, done), Tables{}, "its push was rolled-back"},
		"a refused push is there":   {of(Plain, event(Refused, 0)), Tables{Jobs: map[string]int64{token: 7}}, "its push was refused"},
		"an attempt runs twice":     {of(Plain, pushed, begun, begun, done), Tables{}, "2 runs of job 7 are attempt 1"},
		"a run after the end":       {of(Plain, pushed, begun, done, event(Begun, 2)), Tables{}, "began 1 ms after its end"},
		"a late worker's end": {
			of(Plain, pushed, begun, event(Begun, 2), event(Done, 2), event(Done, 1)), Tables{}, "ended twice",
		},
		"one push, two jobs": {
			of(Plain, pushed, begun, Event{What: Begun, Token: token, Job: 8, Attempt: 1}, done), Tables{}, "is 2 jobs",
		},
		"no effect":          {of(Transfer, pushed, begun, done), Tables{}, "has 0 effects"},
		"two effects":        {of(Transfer, pushed, begun, done), Tables{Effects: map[string]int{token: 2}}, "has 2 effects"},
		"failed for nothing": {of(Plain, pushed, begun, event(Failed, 1)), fails, "nothing was wrong"},
		"failed and lost":    {of(Plain, pushed, begun, event(Failed, 1)), Tables{}, "which such jobs never do"},
		"doomed and gone":    {of(Doomed, pushed, begun, done), Tables{}, "has failed 0 times"},
		"doomed too early": {
			of(Doomed, pushed, begun), Tables{Failed: map[string][]Left{token: {{7, 1, "no"}}}}, "failed after 1 attempts",
		},
		"doomed too often":            {of(Doomed, pushed, begun, event(Begun, 2), event(Begun, 3)), fails, "ran 3 times"},
		"reserved when nobody works":  {nil, Tables{Reserved: 1}, "no worker runs"},
		"the job of an unknown waits": {of(Plain, event(Unknown, 0)), Tables{Jobs: map[string]int64{token: 7}}, "still waits"},
		"a doomed job that fails twice": {
			of(Doomed, pushed, begun, event(Begun, 2)),
			Tables{Failed: map[string][]Left{token: {{7, 2, "no"}, {7, 2, "no"}}}},
			"failed 2 times",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := strings.Join(Check(c.events, c.tables), "\n")
			if (c.want == "") != (wrong == "") || !strings.Contains(wrong, c.want) {
				t.Errorf("found %q, want %q", wrong, c.want)
			}
		})
	}
}

// TestCheckGroups plants what must not happen to chains, batches and limited queues.
func TestCheckGroups(t *testing.T) {
	history := func(events ...Event) []Event {
		ids := map[string]int64{}
		for i := range events {
			e := &events[i]
			if ids[e.Token] == 0 {
				ids[e.Token] = int64(len(ids) + 1)
			}
			e.At = int64(i+1) * 1e6
			if e.Kind == "" {
				e.Kind = Plain
			}
			if e.What == Begun || e.What == Returned || e.What == Done {
				e.Job, e.Attempt = ids[e.Token], 1
			}
		}
		return events
	}
	event := func(what, token string) Event { return Event{What: what, Token: token} }
	batch := func(what string) Event { return Event{What: what, Kind: Batch, Token: "b"} }
	pushed, begun, done := event(Committed, "a"), event(Begun, "a"), event(Done, "a")
	then, catch := event(Follows, "a>then"), event(Follows, "a>catch")
	again := history(event(Begun, "a>then"))[0]
	again.Job = 99
	failed := Tables{Failed: map[string][]Left{"b.0": {{1, 2, "no"}}}}
	member := []Event{
		event(Follows, "b>finish"), event(Follows, "b>success"), event(Follows, "b>failure"),
		{What: Committed, Kind: Doomed, Token: "b.0"},
		{What: Begun, Kind: Doomed, Token: "b.0"},
	}
	well := []Event{
		event(Follows, "b>finish"), event(Follows, "b>success"), event(Follows, "b>failure"), event(Committed, "b.0"), event(Begun, "b.0"),
	}
	with := func(events []Event, more ...Event) []Event { return history(slices.Concat(events, more)...) }
	var rated []Event
	for i := range 20 {
		rated = append(rated, event(Committed, fmt.Sprintf("rate-%d", i)), event(Begun, fmt.Sprintf("rate-%d", i)))
	}
	overlap := func(n int, ends string) (events []Event) {
		for _, what := range []string{Committed, Begun, Returned, ends} {
			for i := range n {
				events = append(events, event(what, fmt.Sprintf("lim0-%d", i)))
			}
		}
		return history(events...)
	}
	for name, c := range map[string]struct {
		events []Event
		tables Tables
		want   string // empty: nothing is wrong
	}{
		"a chain":                   {history(then, catch, pushed, begun, done, event(Begun, "a>then")), Tables{}, ""},
		"a chain that did not come": {history(then, event(RolledBack, "a")), Tables{}, ""},
		"no successor":              {history(then, catch, pushed, begun, done), Tables{}, "a>then was not pushed"},
		"two successors":            {append(history(then, pushed, begun, event(Begun, "a>then")), again), Tables{}, "a>then is 2 jobs"},
		"a successor of nothing":    {history(then, event(Refused, "a"), event(Begun, "a>then")), Tables{}, "a>then was pushed"},
		"the wrong successor": {
			history(then, catch, pushed, begun, event(Begun, "a>then"), event(Begun, "a>catch")), Tables{}, "a>catch was pushed",
		},

		"a batch":                   {with(well, batch(Committed), event(Begun, "b>finish"), event(Begun, "b>success")), Tables{}, ""},
		"a batch with a failed job": {with(member, batch(Committed), event(Begun, "b>failure"), event(Begun, "b>finish")), failed, ""},
		"a batch without success":   {with(well, batch(Committed), event(Begun, "b>finish")), Tables{}, "b>success was not pushed"},
		"a success with a failure": {
			with(member, batch(Committed), event(Begun, "b>failure"), event(Begun, "b>finish"), event(Begun, "b>success")), failed,
			"b>success was pushed",
		},
		"a batch that is not known": {with(well, batch(Unknown), event(Begun, "b>finish")), Tables{}, ""},
		"a batch that never was":    {with(well, batch(Refused), event(Begun, "b>finish")), Tables{}, "b>finish was pushed"},
		"a batch that ends early": {
			with(well[:4], batch(Committed), event(Begun, "b>finish"), event(Begun, "b>success"), event(Begun, "b.0")),
			Tables{},
			"b>finish ran before b.0",
		},

		"as many as the limit":     {overlap(LimitRunning, Done), Tables{}, ""},
		"more than the limit":      {overlap(LimitRunning+1, Done), Tables{}, "3 jobs of lim0 ran at once"},
		"more, and one is lost":    {overlap(LimitRunning+1, Lost), Tables{}, ""},
		"faster than the rate":     {history(rated...), Tables{}, "20 jobs of rate were started"},
		"not faster than the rate": {history(rated[:10]...), Tables{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := strings.Join(Check(c.events, c.tables), "\n")
			if (c.want == "") != (wrong == "") || !strings.Contains(wrong, c.want) {
				t.Errorf("found %q, want %q", wrong, c.want)
			}
		})
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := Create(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	want := Event{What: Begun, Kind: Plain, Token: "a-1", Job: 5, Attempt: 2}
	if err := j.Write(want); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteString("12 begun pla"); err != nil { // killed while it wrote
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	want.At = got[0].At
	if got[0] != want || want.At == 0 {
		t.Errorf("read %+v, want %+v", got[0], want)
	}
}
