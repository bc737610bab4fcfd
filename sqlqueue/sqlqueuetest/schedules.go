package sqlqueuetest

import "time"

// RunSchedulesUntil lets time pass until a time, in a bubble of testing/synctest, where years take milliseconds. All schedules come at
// their times, as if workers had been there all along. Their jobs are pushed and not run. RunSchedulesUntil returns them in the order of
// their times; Tick of each is its time, in the schedule's zone.
//
// A bubble begins in the year 2000: to begin later, sleep before the first schedule is set. Outside of a bubble RunSchedulesUntil really
// waits.
func (q *Queue) RunSchedulesUntil(until time.Time) []Pushed {
	q.t.Helper()
	before, err := q.pushed()
	for err == nil {
		var next time.Duration
		if _, next, err = q.RunSchedules(q.ctx()); err != nil {
			break
		}
		if left := time.Until(until); next < 0 || next > left {
			sleep(left)
			break
		}
		sleep(next)
	}
	if err != nil {
		q.t.Fatalf("sqlqueuetest: RunSchedulesUntil: %v", err)
	}
	var scheduled []Pushed
	for _, p := range q.Pushed()[len(before):] {
		if !p.Tick.IsZero() {
			scheduled = append(scheduled, p)
		}
	}
	return scheduled
}

func sleep(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}
