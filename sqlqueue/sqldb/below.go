package sqldb

import (
	"context"
	"strings"
)

// QueuesAtOnce is how many queues QueuesBelow finds at most, in about a fiftieth of a second.
func (d *Database) QueuesAtOnce() int {
	if d.stepByStep() {
		return 100
	}
	return 1000
}

// stepByStep reports whether the database needs a statement for each queue: MySQL reads a recursive query's index from its start.
func (d *Database) stepByStep() bool { return d.Dialect.Level == "" }

// QueuesBelow returns the names of queues that begin with a level, such as mail/ (empty: all), and come after a name (empty: from the
// first), in order, by one step in the index jobs_ready for each, however many jobs they have.
func (d *Database) QueuesBelow(ctx context.Context, level, after string) ([]string, error) {
	if after == "" {
		after = level
	}
	most := d.QueuesAtOnce()
	var found []string
	add := func(scan func(...any) error) error {
		var name any
		var queue string
		if err := scan(&name); err != nil || name == nil {
			return err
		}
		queue = words(name)
		found = append(found, queue)
		after = queue
		return nil
	}
	if !d.stepByStep() {
		next := "SELECT queue FROM " + d.Table("jobs") + " WHERE queue > %s%s" + d.Dialect.Waiting + " ORDER BY queue LIMIT 1"
		s := d.Statement("WITH RECURSIVE found (queue, n) AS (SELECT * FROM (SELECT (")
		s.Add(next, s.Arg(after), s.within(level))
		s.Add(") AS queue, 1 AS n) AS first UNION ALL SELECT (")
		s.Add(next, "found.queue", s.within(level))
		s.Add("), found.n + 1 FROM found WHERE found.queue IS NOT NULL AND found.n < %d)", most)
		s.Add(" SELECT queue FROM found WHERE queue IS NOT NULL ORDER BY queue")
		return found, s.Each(ctx, d.DB, add)
	}
	for n := 1; n <= most; n++ {
		s := d.Statement("SELECT MIN(queue) FROM %s WHERE ", d.Table("jobs"))
		s.Add("queue > %s%s", s.Arg(after), s.within(level))
		if err := s.Each(ctx, d.DB, add); err != nil || len(found) < n {
			return found, err
		}
	}
	return found, nil
}

// within is the condition that the name of a queue, which sorts after a level, begins with it.
func (s *Statement) within(level string) string {
	if level == "" {
		return ""
	}
	return " AND queue < " + s.Arg(strings.TrimSuffix(level, "/")+"0") // 0 comes after /
}

// NewestBelow returns the queues that begin with a level (empty: all) among the newest thousand jobs, each with the id of its newest.
func (d *Database) NewestBelow(ctx context.Context, level string) (map[string]int64, error) {
	const newest = 1000
	s := d.Statement("SELECT queue, max(id) FROM (SELECT queue, id FROM %s%s ORDER BY id DESC LIMIT %d) AS newest WHERE ",
		d.Table("jobs"), d.Dialect.ByID, newest)
	s.Add("queue > %s%s GROUP BY queue", s.Arg(level), s.within(level))
	found := map[string]int64{}
	err := s.Each(ctx, d.DB, func(scan func(...any) error) error {
		var queue any
		var id int64
		err := scan(&queue, &id)
		found[words(queue)] = id
		return err
	})
	return found, err
}
