//go:build unix

package run

import (
	"os"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

func TestMain(m *testing.M) {
	supervise.Become()
	os.Exit(m.Run())
}
