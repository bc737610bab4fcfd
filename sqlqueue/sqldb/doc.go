// Package sqldb is what stores have in common whose database speaks SQL. It is for those who write a store: see package driver, whose
// contract it helps to fulfil.
//
// What a push, an exchange and a handler's transaction do is written for each database by itself, because it must be fast. Everything else
// is written once, over a [Dialect], which says how a database writes what others write differently. A store fills in a Dialect and embeds
// a [Database]:
//
//	type store struct {
//		*sqldb.Database
//		…
//	}
//
//	func (s *store) SQL() *sqldb.Database { return s.Database }
//
// It then has the method Beat of driver.Store, and with SQL it is a [Store], on which package operator works. What is left to write is
// Check, which ends with CheckSchema, and Push, Exchange and Hold.
//
// For these three there are [Names], which puts a prefix before the names of tables, the parts of a SELECT of controls ([ControlColumns],
// [ScanControl]), the one rule for when nothing may be reserved ([StoppedSQL], [Stopped]), and [Reading], which reads rows whatever they
// hold.
package sqldb
