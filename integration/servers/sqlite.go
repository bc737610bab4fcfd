package servers

import (
	"context"
	"database/sql"
	"runtime/debug"

	_ "modernc.org/sqlite" // the engine
)

// SQLite is the engine that needs no server: its version is that of this binary's module.
func SQLite(ctx context.Context) (Engine, error) {
	e := Engine{Name: "sqlite", Way: "in the process: " + moduleVersion("modernc.org/sqlite")}
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return e, err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&e.Version)
	return e, err
}

// moduleVersion is the path and the version of a module in this binary.
func moduleVersion(path string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, m := range build.Deps {
			if m.Path == path {
				return m.Path + " " + m.Version
			}
		}
	}
	return path
}
