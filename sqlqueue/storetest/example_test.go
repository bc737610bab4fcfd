package storetest_test

import (
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/storetest"
)

// A store's package calls Run in a test: for each case, open returns the database with empty tables.
func ExampleRun() {
	test := func(t *testing.T, open func(tb testing.TB) storetest.Database) { storetest.Run(t, open) }
	_ = test
}
