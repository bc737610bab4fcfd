package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// endSignals are the signals that let a worker finish. HUP is one of them unless it was ignored when this process began, as nohup has it.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// outlivePipes makes a write to a log that nobody reads any more an error of that write, from now on. Otherwise PIPE would end this
// process. The signal is caught and not ignored, because what is ignored stays so in the commands that are started.
func outlivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
