package chaos

import (
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

		"never ran":                     {of(Plain, pushed), Tables{}, "never ran"},
		"still waits":                   {of(Plain, pushed, begun), Tables{Jobs: map[string]int64{token: 7}}, "still waits"},
		"nobody pushed it":              {of(Plain, begun, done), Tables{}, "nobody pushed"},
		"in the table from nowhere":     {nil, Tables{Jobs: map[string]int64{token: 7}}, "nobody pushed"},
		"an effect from nowhere":        {nil, Tables{Effects: map[string]int{token: 1}}, "nobody pushed"},
		"a rollback ran":                {of(Plain, event(RolledBack, 0), begun, done), Tables{}, "its push was rolled-back"},
		"a refused push is there":       {of(Plain, event(Refused, 0)), Tables{Jobs: map[string]int64{token: 7}}, "its push was refused"},
		"an attempt runs twice":         {of(Plain, pushed, begun, begun, done), Tables{}, "2 runs of job 7 are attempt 1"},
		"a run after the end":           {of(Plain, pushed, begun, done, event(Begun, 2)), Tables{}, "began 1 ms after its end"},
		"a late worker's end":           {of(Plain, pushed, begun, event(Begun, 2), event(Done, 2), event(Done, 1)), Tables{}, "ended twice"},
		"one push, two jobs":            {of(Plain, pushed, begun, Event{What: Begun, Token: token, Job: 8, Attempt: 1}, done), Tables{}, "is 2 jobs"},
		"no effect":                     {of(Transfer, pushed, begun, done), Tables{}, "has 0 effects"},
		"two effects":                   {of(Transfer, pushed, begun, done), Tables{Effects: map[string]int{token: 2}}, "has 2 effects"},
		"failed for nothing":            {of(Plain, pushed, begun, event(Failed, 1)), fails, "nothing was wrong"},
		"failed and lost":               {of(Plain, pushed, begun, event(Failed, 1)), Tables{}, "which such jobs never do"},
		"doomed and gone":               {of(Doomed, pushed, begun, done), Tables{}, "has failed 0 times"},
		"doomed too early":              {of(Doomed, pushed, begun), Tables{Failed: map[string][]Left{token: {{7, 1, "no"}}}}, "failed after 1 attempts"},
		"doomed too often":              {of(Doomed, pushed, begun, event(Begun, 2), event(Begun, 3)), fails, "ran 3 times"},
		"reserved when nobody works":    {nil, Tables{Reserved: 1}, "no worker runs"},
		"the job of an unknown waits":   {of(Plain, event(Unknown, 0)), Tables{Jobs: map[string]int64{token: 7}}, "still waits"},
		"a doomed job that fails twice": {of(Doomed, pushed, begun, event(Begun, 2)), Tables{Failed: map[string][]Left{token: {{7, 2, "no"}, {7, 2, "no"}}}}, "failed 2 times"},
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
