//go:build !linux

package sqlitequeue

// deletedBeside is not known here.
func deletedBeside(string) string { return "" }
