package worker

import (
	"runtime/debug"
	"time"
)

// call is a call of the application's code in a goroutine of its own, so that neither a panic nor runtime.Goexit nor a wait without end
// reaches whoever called. Its zero value is of no use: see begin.
type call[T any] struct {
	done  chan struct{}
	value T     // when it is done
	err   error // when it is done: f's error, or a *PanicError
}

func begin[T any](f func() (T, error)) *call[T] {
	c := &call[T]{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		returned := false
		defer func() {
			if !returned {
				c.err = &PanicError{Stack: string(debug.Stack())}
			}
		}()
		c.err = protect(func() (err error) {
			c.value, err = f()
			return err
		})
		returned = true
	}()
	return c
}

// within waits for the end of the call, at most so long, and reports whether it has come.
func (c *call[T]) within(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return c.over()
	}
}

// over reports whether the call has ended.
func (c *call[T]) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// apart calls f in a goroutine of its own, and makes a panic and runtime.Goexit an error.
func apart(f func() error) error {
	c := begin(func() (struct{}, error) { return struct{}{}, f() })
	<-c.done
	return c.err
}
