//go:build !unix

package cli

import "github.com/sqlqueue/sqlqueue/worker"

// There are no signals for it.
func pauseOnSignals(*worker.Worker) (stop func()) { return func() {} }
