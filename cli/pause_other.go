//go:build !unix

package cli

// There are no signals for it.
func pauseOnSignals(runner) (stop func()) { return func() {} }
