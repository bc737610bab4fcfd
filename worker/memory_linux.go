package worker

import (
	"bytes"
	"os"
	"strconv"
)

// memory returns how much memory the process has in use (its resident set), in bytes, or 0 if that is not known.
func memory() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
