package child

import (
	"sync"
	"time"
)

// lasting is a child that serves several jobs, one after the other.
type lasting interface {
	Done() <-chan struct{}
	Kill()
	usable() bool     // it can be given another job
	hangUp()          // tells it that no more jobs come
	finish(kill bool) // cleans up after it, once
}

// idle has the children that wait for their next job. It is safe for concurrent use.
type idle[C lasting] struct {
	mu       sync.Mutex
	children []C
	closed   bool
	retiring sync.WaitGroup
}

// take returns the child that was put last, if there is one.
func (i *idle[C]) take() (child C, ok bool) {
	for {
		i.mu.Lock()
		n := len(i.children)
		if n == 0 {
			i.mu.Unlock()
			return child, false
		}
		child = i.children[n-1]
		i.children = i.children[:n-1]
		i.mu.Unlock()
		if child.usable() {
			return child, true
		}
		child.finish(true)
	}
}

// put keeps a child for the next job or, without more, lets it end, without waiting for that.
func (i *idle[C]) put(child C, more bool, settings *Settings) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.closed:
		go settings.end(child)
	case more:
		i.children = append(i.children, child)
	default:
		i.retiring.Go(func() { settings.end(child) })
	}
}

// close ends the children that are idle, and waits for those that end. A child that runs a job ends after it.
func (i *idle[C]) close(settings *Settings) {
	i.mu.Lock()
	i.closed = true
	for _, child := range i.children {
		i.retiring.Go(func() { settings.end(child) })
	}
	i.children = nil
	i.mu.Unlock()
	i.retiring.Wait()
}

// end lets a child end, and kills it if it does not.
func (s *Settings) end(child lasting) {
	child.hangUp()
	select {
	case <-child.Done():
	case <-time.After(max(s.KillAfter, drainTime)):
		child.Kill()
	case <-s.Kill:
		child.Kill()
	}
	child.finish(false)
}
