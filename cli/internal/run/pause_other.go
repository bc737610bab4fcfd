//go:build !unix

package run

// There are no signals for it.
func pauseOnSignals(runner) (stop func()) { return func() {} }
