package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kinds of jobs, which are their names.
const (
	Plain    = "plain"    // ends well
	Slow     = "slow"     // takes longer than expire, and ends well
	Flaky    = "flaky"    // ends with an error on its first runs, then well
	Doomed   = "doomed"   // ends with an error on every run, and has two tries
	Transfer = "transfer" // writes an effect in the transaction that completes it
	Poison   = "poison"   // kills its worker on its first runs, then ends well
	New      = "new"      // only the new version of the worker knows it
)

// DoomedTries is how many tries a Doomed job has.
const DoomedTries = 2

// Tables are what is in the database at the end.
type Tables struct {
	Jobs     map[string]int64  // by token, their ids
	Failed   map[string][]Left // by token
	Effects  map[string]int    // of Transfer jobs, by token: how many
	Reserved int               // jobs that are reserved
}

// Left is a failed job.
type Left struct {
	Job     int64
	Attempt int
	Error   string
}

// Check returns what is wrong: what the history and the tables say that must not be. The database is at rest.
func Check(events []Event, tables Tables) []string {
	c := &checker{tables: tables, of: map[string]*job{}, members: map[string][]string{}}
	for _, e := range events {
		c.note(e)
	}
	for token := range c.of {
		if batch, _, ok := strings.Cut(token, "."); ok {
			c.members[batch] = append(c.members[batch], token)
		}
	}
	for _, token := range slices.Sorted(maps.Keys(c.of)) {
		c.check(token, c.of[token])
	}
	c.checkLimits(events)
	for token := range tables.Jobs {
		if c.of[token] == nil {
			c.complain("%s is in the table, and nobody pushed it", token)
		}
	}
	for token := range tables.Effects {
		if c.of[token] == nil {
			c.complain("%s has an effect, and nobody pushed it", token)
		}
	}
	if tables.Reserved > 0 {
		c.complain("%d jobs are reserved, and no worker runs", tables.Reserved)
	}
	return c.wrong
}

type checker struct {
	tables  Tables
	of      map[string]*job
	members map[string][]string // tokens of the jobs of batches
	wrong   []string
}

// job is the history of one token.
type job struct {
	kind   string
	pushed string // what its producer says
	runs   map[attempt]int
	first  int64  // when the first run began
	ended  *Event // the first Done or Failed
	ids    map[int64]bool
	late   []Event // runs that began after the end
	twice  []Event // ends after the first
}

type attempt struct {
	job    int64
	number int
}

func (c *checker) complain(format string, a ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, a...))
}

func (c *checker) note(e Event) {
	j := c.of[e.Token]
	if j == nil {
		j = &job{runs: map[attempt]int{}, ids: map[int64]bool{}}
		c.of[e.Token] = j
	}
	j.kind = e.Kind
	if e.Job != 0 {
		j.ids[e.Job] = true
	}
	switch e.What {
	case Committed, RolledBack, Refused, Unknown, Follows:
		j.pushed = e.What
	case Begun:
		j.runs[attempt{e.Job, e.Attempt}]++
		j.first = cmp.Or(j.first, e.At)
		// A process that stood still can begin a run that was reserved long before the end.
		if j.ended != nil && e.Attempt >= j.ended.Attempt {
			j.late = append(j.late, e)
		}
	case Done, Failed:
		if j.ended == nil {
			j.ended = &e
		} else {
			j.twice = append(j.twice, e)
		}
	}
}

func (c *checker) check(token string, j *job) {
	ran, there := len(j.runs) > 0, c.there(token)
	switch j.pushed {
	case "":
		c.complain("%s ran, and nobody pushed it", token)
	case RolledBack, Refused:
		if ran || there {
			c.complain("%s ran %d times and is in a table (%v), but its push was %s", token, len(j.runs), there, j.pushed)
		}
		return
	case Committed:
		if !ran && j.kind != Batch {
			c.complain("%s (%s) was committed and never ran", token, j.kind)
		}
	case Follows:
		c.checkFollower(token, ran, there)
	}
	if len(j.ids) > 1 {
		c.complain("%s is %d jobs", token, len(j.ids))
	}
	for of, times := range j.runs {
		if times > 1 {
			c.complain("%s: %d runs of job %d are attempt %d", token, times, of.job, of.number)
		}
	}
	for _, e := range j.late {
		c.complain("%s: attempt %d began %d ms after its end (%s) was written", token, e.Attempt, (e.At-j.ended.At)/1e6, j.ended.What)
	}
	for _, e := range j.twice {
		c.complain("%s ended twice: %s with attempt %d, then %s with attempt %d", token, j.ended.What, j.ended.Attempt, e.What, e.Attempt)
	}
	c.checkEnd(token, j, ran)
}

// there reports whether a token is anywhere in the tables.
func (c *checker) there(token string) bool {
	_, waits := c.tables.Jobs[token]
	return waits || len(c.tables.Failed[token]) > 0 || c.tables.Effects[token] > 0
}

// checkEnd checks what is left of a job that ran.
func (c *checker) checkEnd(token string, j *job, ran bool) {
	if _, waits := c.tables.Jobs[token]; waits {
		c.complain("%s (%s) still waits", token, j.kind)
		return
	}
	failed, effects := c.tables.Failed[token], c.tables.Effects[token]
	switch {
	case j.kind == Doomed && ran:
		if len(failed) != 1 {
			c.complain("%s always ends with an error, and has failed %d times", token, len(failed))
		} else if failed[0].Attempt < DoomedTries {
			c.complain("%s failed after %d attempts: it had %d tries", token, failed[0].Attempt, DoomedTries)
		}
		if len(j.runs) > DoomedTries {
			c.complain("%s ran %d times: it had %d tries", token, len(j.runs), DoomedTries)
		}
	case len(failed) > 0:
		c.complain("%s (%s) has failed after %d attempts, and nothing was wrong with it: %s",
			token, j.kind, failed[0].Attempt, failed[0].Error)
	}
	if j.kind == Transfer && ran && effects != 1 {
		c.complain("%s has %d effects", token, effects)
	}
	if j.ended != nil && j.kind != Doomed && j.ended.What == Failed {
		c.complain("%s (%s) was told to have failed, which such jobs never do", token, j.kind)
	}
}
