package operator

import "testing"

// SetWindow makes searches look at so many jobs with a statement until the test ends.
func SetWindow(t *testing.T, n int64) {
	before := windowSize
	windowSize = n
	t.Cleanup(func() { windowSize = before })
}
