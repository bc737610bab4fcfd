// Package sqldb is the common part of stores for SQL databases. It is for those who write a store: see package driver, whose contract it
// helps to fulfil.
//
// A push, an exchange and a handler's transaction are written for each database separately, because they must be fast. Everything else is
// written once, over a [Dialect], which has the SQL in which databases differ. A store fills in a Dialect and embeds a [Database]:
//
//	type store struct {
//		*sqldb.Database
//		…
//	}
//
//	func (s *store) SQL() *sqldb.Database { return s.Database }
//
// It then has the method Beat of driver.Store, and with SQL it is a [Store], on which package operator works. The store itself has Check,
// which ends with CheckSchema, and Push, Exchange and Hold.
//
// For these three there are [Names], which puts a prefix before the names of tables, the parts of a SELECT of controls ([ControlColumns],
// [ScanControl]), the rule for when nothing may be reserved ([StoppedSQL], [Stopped]), and [Reading], which reads rows with any values.
package sqldb
