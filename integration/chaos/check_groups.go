package chaos

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Groups of jobs are in their tokens. A token with a ">" is of a job that the end of another pushes: "t>then" and "t>catch" follow t, and
// "b>finish", "b>success" and "b>failure" the batch b, whose jobs are "b.0", "b.1" and so on. "lim0-…" is a job of the queue lim/0.
const (
	Batch   = "batch"   // the kind of a batch, which is no job
	Follows = "follows" // what a producer says about a job that the end of another pushes, if it does

	Limited = "lim"  // tokens and queues of jobs of which LimitRunning may run in each queue
	Rated   = "rate" // of jobs of which LimitRate may start each second, and LimitBurst at once

	LimitRunning = 2
	LimitRate    = 10
	LimitBurst   = 5
)

// follower splits the token of a job that the end of another pushes.
func follower(token string) (of, how string) {
	i := strings.LastIndexByte(token, '>')
	if i < 0 {
		return "", ""
	}
	return token[:i], token[i+1:]
}

// follows reports whether a job that the end of another pushes may be there, and whether it must.
func (c *checker) follows(token string) (may, must bool) {
	of, how := follower(token)
	before := c.of[of]
	switch {
	case before == nil:
		return false, false
	case before.kind != Batch:
		may = len(before.runs) > 0 && (how == "catch") == (len(c.tables.Failed[of]) > 0)
		return may, may
	}
	failed := slices.ContainsFunc(c.members[of], func(member string) bool { return len(c.tables.Failed[member]) > 0 })
	may = before.pushed != Refused && (how == "finish" || (how == "failure") == failed)
	return may, may && before.pushed == Committed
}

// checkFollower checks a job that the end of another pushes.
func (c *checker) checkFollower(token string, ran, there bool) {
	may, must := c.follows(token)
	switch {
	case must && !ran:
		c.complain("%s was not pushed, and what it follows has ended so", token)
	case !may && (ran || there):
		c.complain("%s was pushed, and what it follows has not ended so", token)
	}
	of, how := follower(token)
	if !ran || c.of[of].kind != Batch || how == "failure" {
		return
	}
	for _, member := range c.members[of] {
		if c.of[member].first > c.of[token].first {
			c.complain("%s ran before %s", token, member)
		}
	}
}

// checkLimits checks runs whose ends were written: a run that ends with a lost reservation may overlap with others. So may a transfer,
// which gives its place back when it commits, and returns when the answer has come.
func (c *checker) checkLimits(events []Event) {
	type run struct {
		token   string
		attempt int
	}
	begun, returned, settled := map[run]int64{}, map[run]int64{}, map[run]bool{}
	var rated, last int64
	for _, e := range events {
		of := run{e.Token, e.Attempt}
		switch e.What {
		case Begun:
			begun[of] = e.At
			if strings.HasPrefix(e.Token, Rated) {
				rated, last = rated+1, e.At
			}
		case Returned:
			if e.Kind != Transfer {
				returned[of] = e.At
			}
		case Done, Released, Failed:
			settled[of] = true
		}
	}
	type edge struct {
		at, change int64
	}
	edges := map[string][]edge{}
	for of, at := range returned {
		if settled[of] {
			queue, _, _ := strings.Cut(of.token, "-")
			edges[queue] = append(edges[queue], edge{begun[of], 1}, edge{at, -1})
		}
	}
	for queue, of := range edges {
		slices.SortFunc(of, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.change, b.change)) })
		var running int64
		for _, e := range of {
			if running += e.change; running > LimitRunning {
				c.complain("%d jobs of %s ran at once: the limit is %d", running, queue, LimitRunning)
				break
			}
		}
	}
	if rated > 0 {
		if passed := time.Duration(last - events[0].At); float64(rated) > passed.Seconds()*LimitRate+LimitBurst {
			c.complain("%d jobs of %s were started in %v: the limit is %d a second", rated, Rated, passed, LimitRate)
		}
	}
}
