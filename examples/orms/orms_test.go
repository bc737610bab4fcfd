package orms

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/examples/orms/internal/recipe"
)

// SendInvoice is the job of all recipes.
type SendInvoice = recipe.SendInvoice

var databases atomic.Int64

// newDatabase makes an empty database on the server whose address is in the environment variable, and returns its name.
func newDatabase(t *testing.T, admin *sql.DB) string {
	t.Helper()
	name := fmt.Sprintf("orms_%d_%d_%d", os.Getpid(), time.Now().UnixNano(), databases.Add(1))
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
		_ = admin.Close()
	})
	return name
}

// server returns an address from the environment, or skips the test.
func server(t *testing.T, variable string) string {
	t.Helper()
	address, _, _ := strings.Cut(os.Getenv(variable), ",")
	if address == "" {
		t.Skip("no server: " + variable + " is empty")
	}
	return address
}
