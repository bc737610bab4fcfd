package lane

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// What other processes have opened is looked for once an Interval, only in the queues that are asked, and is asked at once.
func TestLanesAreLookedForWhenItIsTime(t *testing.T) {
	now := time.Now()
	queues := []string{"mail", "news"}
	var set Set
	var p Places
	set.Found("news", nil, now)
	for _, c := range []struct {
		name       string
		limit      int
		everything bool
		at         time.Duration
		looked     []string
		all        bool
	}{
		{name: "an exchange that reserves nothing"},
		{"the first time", 1, false, 0, []string{"mail"}, false},
		{"the second time", 1, false, Interval - 1, nil, false},
		{"after an Interval", 1, false, Interval, queues, true},
		{"again", 1, false, Interval, nil, false},
		{"everything", 1, true, Interval, queues, true},
	} {
		at := now.Add(c.at)
		var looked []string
		part, all, err := p.Choose(&set, Search{
			Asked: queues, Queues: queues, Order: by(same), Limit: c.limit, Everything: c.everything, At: at,
		}, func(_ []Lane, stale []string) error {
			looked = stale
			for _, queue := range stale {
				set.Found(queue, []int16{5}, at)
			}
			return nil
		})
		if err != nil || all != c.all || !slices.Equal(looked, c.looked) {
			t.Errorf("%s: %v, looked in %v, all: %v", c.name, err, looked, all)
		}
		if c.looked != nil && !slices.Contains(part.Lanes, late) {
			t.Errorf("%s: a lane that was found is not asked: %v", c.name, part.Lanes)
		}
	}
	wrong := errors.New("wrong")
	find := func([]Lane, []string) error { return wrong }
	if _, _, err := p.Choose(&set, Search{
		Asked: queues, Queues: queues, Order: by(same), Limit: 1, At: now,
	}, find); !errors.Is(err, wrong) {
		t.Errorf("the search failed: %v", err)
	}
}

// A queue of which a search was cut has lanes that are not known.
func TestNotAllLanesWhileASearchIsCut(t *testing.T) {
	now := time.Now()
	for _, cut := range []bool{false, true} {
		var set Set
		var p Places
		_, all, _ := p.Choose(&set, Search{Queues: []string{"mail"}, Order: by(same), Limit: 1, At: now}, func(_ []Lane, _ []string) error {
			set.Found("mail", nil, now)
			if cut {
				set.Cut("mail", 7)
			}
			return nil
		})
		if all == cut {
			t.Errorf("cut: %v, all: %v", cut, all)
		}
	}
}

// Of many lanes an exchange asks a part, all if it asks for everything, and none if it reserves nothing.
func TestHowManyLanesAreAsked(t *testing.T) {
	now := time.Now()
	var set Set
	many := make([]int16, few+1) // with the priority 0, which is always there, one more
	for i := range many {
		many[i] = int16(i + 1)
	}
	set.Found("mail", many, now.Add(-Interval))
	find := func([]Lane, []string) error {
		set.Found("mail", nil, now)
		return nil
	}
	for name, c := range map[string]struct {
		limit      int
		everything bool
		want       int
	}{
		"nothing":    {0, false, 0},
		"a job":      {1, false, few},
		"everything": {1, true, few + 2},
	} {
		var p Places
		set.Found("mail", nil, now.Add(-Interval))
		search := Search{
			Asked: []string{"mail"}, Queues: []string{"mail"}, Order: by(same), Limit: c.limit, Everything: c.everything, At: now,
		}
		part, all, err := p.Choose(&set, search, find)
		if err != nil || len(part.Lanes) != c.want || all != c.everything {
			t.Errorf("%s: %d lanes, all: %v, %v", name, len(part.Lanes), all, err)
		}
	}
}

// An exchange that has filled its bytes goes on at the lane of its last job, as one that has filled its limit.
func TestFullExchangesGoOnAtTheirLastLane(t *testing.T) {
	names, lanes := queuesOf(few + 1)
	now := time.Now()
	for _, full := range []bool{false, true} {
		var p Places
		part := partOf(&p, names, lanes, same, now)
		answer := driver.Exchanged{Now: epoch, Reserved: []sqlqueue.Job{{Queue: "q7"}}}
		p.Exchanged(&part, &driver.Exchange{Limit: 2}, &answer, full, now)
		if next := partOf(&p, names, lanes, same, now); (next.Lanes[0] == lanes[7]) != full {
			t.Errorf("full: %v, it goes on at %v", full, next.Lanes[0])
		}
	}
}

// What an exchange has settled, given back or requeued may be in a lane behind it.
func TestExchangesThatPutJobsBackBeginAgain(t *testing.T) {
	names, lanes := queuesOf(few + 1)
	now := time.Now()
	for name, c := range map[string]struct {
		x        driver.Exchange
		requeued int
		want     bool
	}{
		"reserved":   {driver.Exchange{Limit: 1}, 0, false},
		"settled":    {driver.Exchange{Settle: make([]driver.Settlement, 1)}, 0, true},
		"given back": {driver.Exchange{Abandoned: []string{"w-1"}}, 0, true},
		"requeued":   {driver.Exchange{Requeue: 1}, 1, true},
	} {
		var p Places
		part := partOf(&p, names, lanes, same, now)
		p.asked(&part, 1, &driver.Exchanged{Now: epoch}, now)
		p.Exchanged(&Part{}, &c.x, &driver.Exchanged{Now: epoch, Requeued: c.requeued}, false, now)
		part = partOf(&p, names, lanes, same, now)
		answer := driver.Exchanged{Now: epoch}
		p.asked(&part, 1, &answer, now)
		if again := answer.NextDue.Equal(epoch); again != c.want {
			t.Errorf("%s: the next exchange is to come at once: %v", name, again)
		}
	}
}
