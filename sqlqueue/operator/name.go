package operator

import (
	"cmp"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// The name of a job is what sqlqueue.ParsePayload says, for a filter as for the worker. Databases read most payloads alike, and those they
// filter by themselves. Of the others, as where a member is there twice, they send the payload, and sqlqueue.ParsePayload decides.

// whereName leaves the jobs of a name, and those of which only isNamed can tell.
func (s *statement) whereName(name string) {
	d := s.Dialect
	s.Add(" AND CASE WHEN %s THEN %s = "+d.Text+" ELSE TRUE END", d.Plain, d.Name, s.Arg(name))
}

// doubtful is a column with the payload where Name may not be its name, else NULL.
func (t *tables) doubtful() string {
	return fmt.Sprintf("CASE WHEN %s THEN NULL ELSE payload END", t.Dialect.Plain)
}

// sentForName is up to how many characters a payload is sent to read its name: in a database that takes ten times as long.
const sentForName = 1000

// nameColumns are two columns, of which one has the name, or the payload that has it, and the other is NULL.
func (t *tables) nameColumns() string {
	short := fmt.Sprintf("length(%s) <= %d", cmp.Or(t.Dialect.Payload, "payload"), sentForName)
	return fmt.Sprintf("CASE WHEN %[1]s THEN NULL WHEN %[2]s THEN %[3]s END, "+
		"CASE WHEN %[1]s THEN payload WHEN %[2]s THEN NULL ELSE payload END", short, t.Dialect.Plain, t.Dialect.Name)
}

// isNamed reports whether a row that passed whereName has the name. Doubtful is the column of that name, or the whole payload.
func isNamed(name string, doubtful []byte) bool {
	return len(doubtful) == 0 || nameOf(doubtful) == name
}

func nameOf(payload []byte) string {
	p, _ := sqlqueue.ParsePayload(payload)
	return p.Job
}

// untilFull calls page until limit rows have passed, or there are no more. Page reads at most n rows, the next ones each time,
// and returns how many it has read and how many have passed in all.
func untilFull(limit int, page func(n int) (read, passed int, err error)) error {
	const most = 1000
	n := limit
	for {
		read, passed, err := page(n)
		if err != nil || read < n || passed >= limit {
			return err
		}
		n = max(limit-passed, min(2*n, most)) // not a statement for each job that is to be left out
	}
}
