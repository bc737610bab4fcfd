//go:build cgo

package orms

import (
	"testing"

	"github.com/sqlqueue/sqlqueue/examples/orms/internal/recipe"
)

func TestMattn(t *testing.T) {
	t.Parallel()
	recipe.CheckSQLite(t, openMattn)
}
