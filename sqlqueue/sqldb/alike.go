package sqldb

import "github.com/sqlqueue/sqlqueue/sqlqueue/driver"

// Alike reports whether two jobs have no unique keys and differ only by their payloads: one statement can insert them with one queue,
// priority and time.
func Alike(a, b *driver.NewJob) bool {
	return a.UniqueKey == "" && b.UniqueKey == "" &&
		a.Queue == b.Queue && a.Priority == b.Priority && a.Delay == b.Delay && a.At.Equal(b.At)
}
