package lane

import (
	"fmt"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// by is an Order that leaves lanes as they are, and names their queues.
type by func(queue string) string

func (by) Sort(lanes []Lane) []Lane   { return lanes }
func (b by) Name(queue string) string { return b(queue) }

func same(queue string) string { return queue }

// partOf chooses among lanes for an exchange that asks the named queues for one job.
func partOf(p *Places, names []string, lanes []Lane, name by, now time.Time) Part {
	return p.part(Search{Asked: names, Order: name, Limit: 1, At: now}, lanes)
}

// queuesOf returns n queues with one lane each.
func queuesOf(n int) (names []string, lanes []Lane) {
	for i := range n {
		names = append(names, fmt.Sprint("q", i))
		lanes = append(lanes, Lane{Queue: names[i]})
	}
	return names, lanes
}

func TestFewLanesAreAskedWhole(t *testing.T) {
	var p Places
	names, lanes := queuesOf(few)
	part := partOf(&p, names, lanes, same, time.Now())
	due := epoch.Add(time.Hour)
	answer := driver.Exchanged{Now: epoch, NextDue: due, Everything: true}
	p.asked(&part, 1, &answer, time.Now())
	if len(part.Lanes) != few || !part.All() || part.Many() || !answer.NextDue.Equal(due) || !answer.Everything {
		t.Errorf("%d lanes, all: %v; %+v", len(part.Lanes), part.All(), answer)
	}
}

// The parts of a walk over lanes without jobs grow. At its end the answer has the first time that any of them had.
func TestExchangesGoOnUntilTheLastLane(t *testing.T) {
	var p Places
	const n = 4000
	names, lanes := queuesOf(n)
	now, asked := time.Now(), 0
	for i := 0; ; i++ {
		part := partOf(&p, names, lanes, same, now)
		if part.Lanes[0] != lanes[asked] {
			t.Fatalf("exchange %d begins at %v, want %v", i, part.Lanes[0], lanes[asked])
		}
		asked += len(part.Lanes)
		answer := driver.Exchanged{Now: epoch, NextDue: epoch.Add(time.Duration(1+(i+1)%3) * time.Hour), Everything: true}
		p.asked(&part, 1, &answer, now)
		if answer.Everything {
			t.Errorf("exchange %d has looked at everything", i)
		}
		if len(part.Lanes) > most || i == 0 && len(part.Lanes) != few {
			t.Errorf("exchange %d asks %d lanes", i, len(part.Lanes))
		}
		if asked == n {
			if want := epoch.Add(time.Hour); !answer.NextDue.Equal(want) {
				t.Errorf("at the end again at %v, want %v", answer.NextDue, want)
			}
			break
		}
		if !answer.NextDue.Equal(epoch) {
			t.Errorf("after exchange %d again at %v, want at once", i, answer.NextDue)
		}
	}
	if part := partOf(&p, names, lanes, same, now); part.Lanes[0] != lanes[0] {
		t.Errorf("after the end it goes on at %v", part.Lanes[0])
	}
}

func TestWhereExchangesGoOn(t *testing.T) {
	names, lanes := queuesOf(2000)
	for i := range 2000 {
		lanes = append(lanes, Lane{"many", int16(i)})
	}
	names = append(names, "many")
	now := time.Now()
	give := func(p *Places, l Lane, at time.Time) {
		part := partOf(p, names, lanes, same, at)
		p.asked(&part, 1, &driver.Exchanged{Now: epoch, Reserved: []sqlqueue.Job{{Queue: l.Queue, Priority: l.Priority}}}, at)
	}
	for name, c := range map[string]struct {
		then  func(p *Places)
		after time.Duration
		want  Lane
	}{
		"at the lane that gave the last job":     {func(*Places) {}, 0, Lane{"many", 500}},
		"after an Interval at the first":         {func(p *Places) { give(p, Lane{"many", 501}, now.Add(Interval)) }, Interval, lanes[0]},
		"at a more urgent job of the same queue": {func(p *Places) { p.Pushed(Lane{"many", 7}) }, 0, Lane{"many", 7}},
		"not at a less urgent one":               {func(p *Places) { p.Pushed(Lane{"many", 507}) }, 0, Lane{"many", 500}},
		"not at another queue":                   {func(p *Places) { p.Pushed(Lane{"q1", 0}) }, 0, Lane{"many", 500}},
	} {
		var p Places
		give(&p, Lane{"many", 500}, now)
		c.then(&p)
		if part := partOf(&p, names, lanes, same, now.Add(c.after)); part.Lanes[0] != c.want {
			t.Errorf("%s: it goes on at %v", name, part.Lanes[0])
		}
	}
}

// What has changed behind the place is looked at when the last lane was asked.
func TestExchangesBeginAgainAfterAChange(t *testing.T) {
	for name, change := range map[string]func(*Places){
		"nothing":  func(*Places) {},
		"a push":   func(p *Places) { p.Pushed(Lane{"q0", 0}) },
		"a settle": (*Places).Changed,
	} {
		var p Places
		names, lanes := queuesOf(few + 1)
		now := time.Now()
		part := partOf(&p, names, lanes, same, now)
		p.asked(&part, 1, &driver.Exchanged{Now: epoch}, now)
		change(&p)
		part = partOf(&p, names, lanes, same, now)
		answer := driver.Exchanged{Now: epoch}
		p.asked(&part, 1, &answer, now)
		if again := answer.NextDue.Equal(epoch); again != (name != "nothing") {
			t.Errorf("%s: the next exchange is to come at once: %v", name, again)
		}
	}
}

// The lanes of a pattern are in the order of priorities, and its queues take turns: the place is that of the pattern.
func TestPlacesInPatterns(t *testing.T) {
	var p Places
	var lanes []Lane
	for priority := range int16(50) {
		for i := range 4 {
			lanes = append(lanes, Lane{fmt.Sprint("m/", (i+int(priority))%4), priority})
		}
	}
	pattern := func(string) string { return "m/*" }
	now := time.Now()
	part := partOf(&p, []string{"m/*"}, lanes, pattern, now)
	p.asked(&part, 1, &driver.Exchanged{Now: epoch}, now)
	if part = partOf(&p, []string{"m/*"}, lanes, pattern, now); part.Lanes[0].Priority != few/4 || len(part.Lanes) != len(lanes)-few {
		t.Errorf("it goes on at %v, with %d lanes", part.Lanes[0], len(part.Lanes))
	}
}

func TestControlsAreRememberedOfManyQueues(t *testing.T) {
	now := time.Now()
	said := []driver.Control{{Queue: "q0", Paused: true}}
	for n, want := range map[int]bool{few: false, few + 1: true} {
		var c Controls
		names, _ := queuesOf(n)
		c.Note(names, said, now)
		if got, ok := c.Recent(names, now.Add(Interval-1)); ok != want || want && len(got) != 1 {
			t.Errorf("%d queues: %v, %v", n, got, ok)
		}
		for _, at := range []time.Time{now.Add(Interval), now.Add(-1)} {
			if _, ok := c.Recent(names, at); ok {
				t.Errorf("%d queues: remembered at %v, said at %v", n, at, now)
			}
		}
		if _, ok := c.Recent(names[1:], now); ok {
			t.Errorf("%d queues: remembered for fewer", n)
		}
	}
}
