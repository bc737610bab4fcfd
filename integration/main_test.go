// Package integration tests sqlqueue on real servers. It is a module of its own, so that what the tests need stays out of the
// applications that use sqlqueue.
package integration

import (
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
	"github.com/sqlqueue/sqlqueue/integration/servers"
)

func TestMain(m *testing.M) { servers.Main(m, built.Remove) }
