package lane

import (
	"testing"
	"time"
)

// Times of jobs are by the database's clock, which has nothing to do with when scans are made.
var (
	epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	mail  = Lane{"mail", 0}
	late  = Lane{"mail", 5}
)

// scans are made after the given times, and have found jobs of the lane mail that had been available at a time that ascends with them.
func TestScansBeginAtTheMark(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		took  time.Duration                    // a whole scan
		after []time.Duration                  // since the first
		want  []func(mark time.Time) time.Time // where each begins
	}{
		"quick": {ms, []time.Duration{0, 1 * ms, 49 * ms, 50 * ms, 51 * ms, 99 * ms, 100 * ms, 101 * ms}, []func(time.Time) time.Time{
			start, mark, mark, halfASecondBefore, mark, mark, start, mark,
		}},
		"a whole scan takes long": {
			10 * ms,
			[]time.Duration{0, 100 * ms, 150 * ms, 199 * ms, 200 * ms, 399 * ms, 400 * ms},
			[]func(time.Time) time.Time{
				start, halfASecondBefore, halfASecondBefore, mark, start, halfASecondBefore, start,
			},
		},
		"a whole scan takes very long": {
			time.Hour,
			[]time.Duration{0, 1999 * ms, 2000 * ms, 3999 * ms, 4000 * ms},
			[]func(time.Time) time.Time{
				start, halfASecondBefore, start, halfASecondBefore, start,
			},
		},
		"Go's clock steps back": {ms, []time.Duration{0, -time.Hour, -time.Hour + ms}, []func(time.Time) time.Time{start, start, mark}},
	} {
		t.Run(name, func(t *testing.T) {
			var s Set
			began := time.Now()
			var at time.Time
			for i, after := range c.after {
				scan := s.Scan([]string{"mail"}, began.Add(after))
				if from := scan.From[mail]; !from.Equal(c.want[i](at)) {
					t.Errorf("scan %d, after %v, begins at %v, and the mark is %v", i, after, from, at)
				}
				at = epoch.Add(time.Duration(i) * time.Second)
				s.Scanned(scan, map[Lane]time.Time{mail: at}, at.Add(time.Minute), c.took)
			}
		})
	}
}

func start(time.Time) time.Time                  { return time.Time{} }
func mark(mark time.Time) time.Time              { return mark }
func halfASecondBefore(mark time.Time) time.Time { return mark.Add(-500 * time.Millisecond) }

func TestMarks(t *testing.T) {
	now := time.Now()
	known := func() *Set {
		s := &Set{}
		s.Found("mail", []int16{5}, now)
		s.Scanned(s.Scan([]string{"mail"}, now), map[Lane]time.Time{mail: epoch, late: epoch}, epoch, 0)
		return s
	}
	from := func(s *Set, l Lane) time.Time {
		scan := s.Scan([]string{"mail", "other"}, now.Add(time.Millisecond))
		return scan.From[l]
	}
	if s := known(); !from(s, mail).Equal(epoch) || !from(s, late).Equal(epoch) || !from(s, Lane{"other", 0}).IsZero() {
		t.Error("marks are not each lane's own")
	}
	s := known()
	s.Scanned(s.Scan([]string{"mail"}, now), map[Lane]time.Time{mail: epoch.Add(-time.Second)}, epoch, 0)
	if !from(s, mail).Equal(epoch) {
		t.Error("an older job has moved the mark")
	}
	s.Rewind(mail, epoch.Add(-time.Hour))
	s.Rewind(mail, epoch.Add(-time.Minute))
	if !from(s, mail).Equal(epoch.Add(-time.Hour)) || !from(s, late).Equal(epoch) {
		t.Error("a push for a time that has passed has not moved the mark of its lane alone")
	}
	s = known()
	s.Scanned(s.Scan([]string{"mail"}, now), nil, epoch.Add(-time.Second), 0) // the database's clock has stepped back
	if !from(s, mail).IsZero() {
		t.Error("a mark is later than the database's clock")
	}
}

// After an exchange that stood still, others' commits may be late by as much.
func TestScansBeginAtTheStartAfterASlowExchange(t *testing.T) {
	for beside, want := range map[time.Duration]bool{slow - 1: false, slow: true} {
		var s Set
		now := time.Now()
		s.Scanned(s.Scan([]string{"mail"}, now), map[Lane]time.Time{mail: epoch}, epoch, time.Hour)
		part := s.Scan([]string{"mail"}, now.Add(time.Millisecond))
		if part.Whole() || part.Timed() {
			t.Fatal("a second scan is whole")
		}
		s.Scanned(part, nil, epoch, 0)
		s.Slow(part, beside)
		next := s.Scan([]string{"mail"}, now.Add(2*time.Millisecond))
		if next.Whole() != want {
			t.Errorf("%v beside the scan: the next is whole: %v, want %v", beside, next.Whole(), want)
		}
		if !want {
			s.Forget([]string{"mail"})
			all := s.Scan([]string{"mail"}, now.Add(3*time.Millisecond))
			if !all.Whole() || !all.From[mail].IsZero() {
				t.Error("a scan of everything does not begin at the start")
			}
		}
	}
}

// Who has found less than was wanted, and has not looked everywhere, is told when to look again.
func TestWhenToLookAgain(t *testing.T) {
	now := time.Now()
	var s Set
	whole := s.Scan([]string{"mail"}, now)
	if again := s.Scanned(whole, map[Lane]time.Time{mail: epoch}, epoch, 10*time.Millisecond); again != 0 {
		t.Errorf("after a scan of everything, again in %v", again)
	}
	part := s.Scan([]string{"mail"}, now.Add(30*time.Millisecond))
	if again := s.Scanned(part, nil, epoch, time.Hour); again != 170*time.Millisecond {
		t.Errorf("again in %v, want 170 ms", again)
	}
}
