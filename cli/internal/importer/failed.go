package importer

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// epoch is a time of another queue's as seconds since 1970, by dialect.
var epoch = map[migrations.Dialect]string{
	migrations.Postgres: "coalesce(extract(epoch FROM %s), 0)::double precision",
	migrations.MySQL:    "coalesce(UNIX_TIMESTAMP(%s), 0)",
	migrations.SQLite:   "coalesce(CAST(strftime('%%s', %s) AS INTEGER), 0)",
}

// failedRow is a failed job as another queue has it.
type failedRow struct {
	row
	exception string
	failedAt  float64
}

// moveFailed moves the next failed jobs. It returns those that stay, and the last id that it has looked at.
func (i *Import) moveFailed(ctx context.Context, tx *sql.Tx, after any) (stay []Stays, last any, n int, err error) {
	db := sqldb.SQL(tx, i.database.Redact)
	failedAt := fmt.Sprintf(epoch[i.database.Dialect], i.failed.failedAt)
	s := i.sql.Statement("SELECT id, queue, payload, exception, %s FROM %s", failedAt, i.failedTable)
	if after != nil {
		s.Add(" WHERE id > %s", s.Arg(after))
	}
	s.Add(" ORDER BY id LIMIT %d %s", batchSize, i.sql.Dialect.SkipLocked)
	var rows []failedRow
	err = s.Each(ctx, db, func(scan func(...any) error) error {
		var r failedRow
		err := scan(&r.id, &r.queue, &r.payload, &r.exception, &r.failedAt)
		rows = append(rows, r)
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, after, 0, err
	}
	var ids []any
	for _, r := range rows {
		last = r.id
		j, err := i.convert(i.parts[0], r.row)
		if err != nil {
			stay = append(stay, Stays{r.id, fmt.Errorf("failed job: %w", err)})
			continue
		}
		if err := i.insertFailed(ctx, db, r, j); err != nil {
			return nil, after, 0, err
		}
		ids = append(ids, r.id)
	}
	if len(ids) == 0 {
		return stay, last, 0, nil
	}
	return stay, last, len(ids), i.drop(ctx, db, i.failedTable, "id", ids)
}

// insertFailed adds a failed job. The first line of its exception is the error, the rest the stack.
func (i *Import) insertFailed(ctx context.Context, db sqldb.DB, r failedRow, j job) error {
	var tried struct {
		Attempts int `json:"attempts"`
	}
	_ = json.Unmarshal(r.payload, &tried) // convert has read it
	payload, err := json.Marshal(j.payload)
	if err != nil {
		return err
	}
	what, stack, _ := strings.Cut(strings.ToValidUTF8(strings.ReplaceAll(r.exception, "\x00", "\uFFFD"), "\uFFFD"), "\n")
	failedAt := moment(r.failedAt)
	if failedAt.IsZero() {
		failedAt = time.Now()
	}
	s := i.sql.Statement("INSERT INTO %s (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)",
		i.sql.Table("failed_jobs"))
	s.Add(" VALUES (0, ")
	s.Add("%s, 0, ", s.Arg(j.queue))
	s.Add("%s, %d, ", s.Arg(string(payload)), max(tried.Attempts, 1))
	s.Add("%s, ", s.Arg(what))
	s.Add("%s, ", s.Arg(stack))
	s.Add("%s, ", s.Time(failedAt))
	s.Add("%s)", s.Time(failedAt))
	_, err = s.Exec(ctx, db)
	return err
}
