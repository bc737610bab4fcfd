package sqlitequeue

import (
	"context"
	"database/sql"
	"runtime"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// statement is one of the package's statements, in which the names of tables and indexes stand in double quotes, as nothing else does.
type statement struct{ sql string }

// all are the package's statements. Whatever newStatement makes is among them, so none is left unprepared.
var all []*statement

// newStatement makes a statement. It is for variables of the package.
func newStatement(sql string) *statement {
	s := &statement{sql}
	all = append(all, s)
	return s
}

// statements are the package's statements for one table prefix. database/sql prepares them once for each connection that runs them: to
// prepare one takes longer than to insert a job.
type statements struct {
	text     map[*statement]string // with the real names of the tables
	prepared prepared              // by text; all of them once prepare has returned

	preparing chan struct{} // holds one element while prepare is under way
}

func newStatements(names *sqldb.Names) *statements {
	s := &statements{text: make(map[*statement]string, len(all)), prepared: prepared{}, preparing: make(chan struct{}, 1)}
	for _, statement := range all {
		s.text[statement] = names.In(statement.sql)
	}
	// A Queue has no Close, so the statements are closed when it is collected.
	runtime.AddCleanup(s, func(prepared prepared) {
		for _, statement := range prepared {
			_ = statement.Close()
		}
	}, s.prepared)
	return s
}

func (s *statements) prepare(ctx context.Context, pool *sql.DB) error {
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if len(s.prepared) == len(s.text) {
		return nil
	}
	for _, text := range s.text {
		if s.prepared[text] != nil {
			continue
		}
		statement, err := pool.PrepareContext(ctx, text) //nolint:sqlclosecheck // closed by the cleanup
		if err != nil {
			return translate(err)
		}
		s.prepared[text] = statement
	}
	return nil
}

// preparedTx is a transaction in which the package's statements run as they were prepared. Others run as they are.
type preparedTx struct {
	*sql.Tx
	prepared prepared
}

func (t preparedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if statement, ok := t.prepared[query]; ok {
		return t.StmtContext(ctx, statement).ExecContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

func (t preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if statement, ok := t.prepared[query]; ok {
		return t.StmtContext(ctx, statement).QueryContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// prepared runs the package's statements on the pool as they were prepared, each in a transaction of its own.
type prepared map[string]*sql.Stmt

func (p prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p[query].ExecContext(ctx, args...)
}

func (p prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p[query].QueryContext(ctx, args...)
}

// prompt runs statements that wait for nobody. If ctx has ended they do not begin, but its end does not interrupt them: that would cost a
// goroutine for each.
type prompt struct{ sqldb.Executor }

func (p prompt) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return p.Executor.ExecContext(context.WithoutCancel(ctx), query, args...)
}

func (p prompt) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return p.Executor.QueryContext(context.WithoutCancel(ctx), query, args...)
}
