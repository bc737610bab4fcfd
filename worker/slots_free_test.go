package worker

import (
	"context"
	"testing"
)

// A slot that becomes free only after the loop has taken its job wakes the loop once more, which otherwise sleeps for a second with a free
// slot.
func TestB1_AFreeSlotWakesTheLoop(t *testing.T) {
	t.Parallel()
	s := newSlots(1, 0, nil)
	s.context = func() (context.Context, context.CancelCauseFunc) { return context.WithCancelCause(t.Context()) }
	leave := make(chan struct{})
	s.execute = func(_ context.Context, r *run) {
		s.end(r, false)
		<-leave
	}
	s.add(&run{})
	<-s.wake
	if ended, _ := s.take(); len(ended) != 1 {
		t.Fatalf("%d jobs have ended", len(ended))
	}
	if busy, _ := s.load(); busy != 1 {
		t.Fatalf("%d slots are taken", busy)
	}
	close(leave)
	<-s.wake
	if busy, _ := s.load(); busy != 0 {
		t.Errorf("%d slots are taken", busy)
	}
}
