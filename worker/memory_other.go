//go:build !linux

package worker

import "runtime"

// memory returns how much memory the process has in use, in bytes: what the Go runtime has from the system.
func memory() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys - stats.HeapReleased)
}
