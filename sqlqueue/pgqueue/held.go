package pgqueue

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// keyHeld reports whether an error says that the index of unique keys, and not a trigger's or somebody's own, has an entry already.
func keyHeld(err error, index string) bool {
	const uniqueViolation = "23505"
	if state(err) != uniqueViolation {
		return false
	}
	var pgx *pgconn.PgError
	if errors.As(err, &pgx) {
		return pgx.ConstraintName == index
	}
	var pq interface{ Get(field byte) string } // lib/pq
	const constraint = 'n'
	return errors.As(err, &pq) && pq.Get(constraint) == index
}
