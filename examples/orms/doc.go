// Package orms has recipes for ORMs and drivers: a job is pushed in their transactions. Tests run each, with a commit and a rollback.
package orms
