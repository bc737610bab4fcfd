package worker

import "time"

// eventPatience is how long the loop waits for an event function. One that takes longer goes on without the loop, and until it returns
// no other is called.
const eventPatience = 5 * time.Second

// teller calls the event functions of the loop, one at a time. The zero value is ready.
type teller struct {
	hangs  *call[struct{}] // has not returned within eventPatience; nil: none
	since  time.Time
	event  string // its name
	missed int    // events that nobody was told of meanwhile
}

func (t *teller) tell(log *journal, name string, event func()) {
	if t.hangs != nil {
		if !t.hangs.over() {
			t.missed++
			return
		}
		log.eventReturned(t.event, time.Since(t.since), t.missed)
		if t.hangs.err != nil {
			log.eventFailed(t.event, t.hangs.err)
		}
		*t = teller{}
	}
	c := begin(func() (struct{}, error) { event(); return struct{}{}, nil })
	switch {
	case !c.within(eventPatience):
		*t = teller{hangs: c, since: time.Now().Add(-eventPatience), event: name}
		log.eventHangs(name)
	case c.err != nil:
		log.eventFailed(name, c.err)
	}
}
