//go:build unix

package run

import (
	"os"
	"os/signal"
	"syscall"
)

// pauseOnSignals pauses a runner at USR2 and lets it go on at CONT, until the function is called.
func pauseOnSignals(w runner) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR2, syscall.SIGCONT)
	go func() {
		defer close(done)
		for s := range signals {
			if s == syscall.SIGUSR2 {
				w.Pause()
			} else {
				w.Resume()
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
