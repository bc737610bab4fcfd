package main

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
)

func TestEveryJobRunsOnce(t *testing.T) {
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db"), filepath.Join(dir, "c.db")}
	const customers = 60
	done, err := run(context.Background(), files, customers)
	if err != nil || done != customers {
		t.Errorf("%d jobs ran, %v; want %d", done, err, customers)
	}
}

// TestAShardMoreMovesItsOwnKeys: keys are spread evenly, and only those move that the new shard gets.
func TestAShardMoreMovesItsOwnKeys(t *testing.T) {
	const keys, few = 3000, 700
	three := shards{{name: "a"}, {name: "b"}, {name: "c"}}
	four := append(three[:3:3], shard{name: "d"})
	count := map[string]int{}
	for key := range keys {
		before, after := three.of(strconv.Itoa(key)).name, four.of(strconv.Itoa(key)).name
		count[before]++
		if after != before && after != "d" {
			t.Fatalf("key %d moved from %s to %s", key, before, after)
		}
	}
	for name, n := range count {
		if n < few {
			t.Errorf("%s has %d of %d keys", name, n, keys)
		}
	}
}
