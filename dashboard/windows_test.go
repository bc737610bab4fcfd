package dashboard

import (
	"testing"
	"time"
)

// TestWindowsFollowTheDatabase: a search on a database that is slow asks for less in a statement, and on a fast one for more.
func TestWindowsFollowTheDatabase(t *testing.T) {
	var w windows
	now := time.Unix(1, 0)
	sizes := func(took time.Duration, n int) (last int) {
		for range n {
			last = w.next(now)
			now = now.Add(took)
		}
		return last
	}
	if first := sizes(time.Millisecond, 1); first != leastWindow {
		t.Errorf("the first window has %d jobs, want %d", first, leastWindow)
	}
	if fast := sizes(time.Millisecond, 20); fast != mostWindow {
		t.Errorf("on a fast database a window has %d jobs, want %d", fast, mostWindow)
	}
	if slow := sizes(searchFor, 20); slow != leastWindow {
		t.Errorf("on a slow database a window has %d jobs, want %d", slow, leastWindow)
	}
}
