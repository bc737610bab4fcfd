package sqlitequeue

import (
	"context"
	"database/sql"
	"runtime"
	"strings"
)

// statements are the package's statements for one table prefix. They are prepared once for each connection that runs them, which is
// database/sql's work: preparing one costs more than inserting a job. Only the writer uses what is prepared.
type statements struct {
	text     map[string]string    // with the real names of the tables, by the constant
	prepared map[string]*sql.Stmt // by text
}

// newStatements takes what gives a table or an index its real name, quoted. In the constants exactly these names stand in double quotes.
func newStatements(named func(string) string) *statements {
	var names []string
	for _, name := range []string{"jobs", "jobs_expiry", "failed_jobs", "queues", "workers"} {
		names = append(names, `"`+name+`"`, named(name))
	}
	replacer := strings.NewReplacer(names...)

	s := &statements{text: map[string]string{}, prepared: map[string]*sql.Stmt{}}
	for _, statement := range []string{
		becomeWriter, insertJob, insertJobs, selectHolder, selectLost, deleteJobs, releaseJobs, insertFailed, touchJobs, giveBackJobs,
		requeueJobs, selectControls, selectPriorities, reserveJobs, selectExpired, selectNextDue, upsertWorker, deleteWorker, deleteUnseen,
		selectWanted,
	} {
		s.text[statement] = replacer.Replace(statement)
	}
	// A Queue has no Close.
	runtime.AddCleanup(s, func(prepared map[string]*sql.Stmt) {
		for _, statement := range prepared {
			_ = statement.Close()
		}
	}, s.prepared)
	return s
}

func (s *statements) prepare(ctx context.Context, pool *sql.DB) error {
	if len(s.prepared) == len(s.text) {
		return nil
	}
	for _, text := range s.text {
		if s.prepared[text] != nil {
			continue
		}
		statement, err := pool.PrepareContext(ctx, text) //nolint:sqlclosecheck // closed by the cleanup
		if err != nil {
			return err
		}
		s.prepared[text] = statement
	}
	return nil
}

// preparedTx is a transaction in which statements run as they were prepared; others run too.
type preparedTx struct {
	*sql.Tx
	prepared map[string]*sql.Stmt
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
