package worker

import (
	"encoding/json"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// vitals writes into a worker's row how it is now.
func (l *loop) vitals(w *driver.Worker) {
	w.Version, w.Concurrency, w.Memory = version(), l.control.slots, memory()
	w.Busy, _ = l.slots.load()
	w.Running = l.keeper.oldest()
	switch {
	case l.stopping.reason != "":
		w.Status = "stopping"
	case l.pause.asked():
		w.Status = "paused"
	default:
		w.Status = "running"
	}
}

// version is that of the program, as Go has built it: of its module, or else the commit.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	return start(clean(v, maxError), 64)
})

// oldest are the handlers that run for the longest time, those that are stuck among them, as many as the worker's row has room for.
func (k *keeper) oldest() (oldest []driver.Running) {
	running := map[*run]time.Time{}
	for _, r := range slices.AppendSeq(slices.Clone(k.held), maps.Keys(k.stuck)) {
		if at := k.slots.startOf(r); r.starts && !at.IsZero() {
			running[r] = at
		}
	}
	runs := slices.SortedFunc(maps.Keys(running), func(a, b *run) int { return running[a].Compare(running[b]) })
	size := len("[]")
	for _, r := range runs[:min(len(runs), driver.RunningMost)] {
		one := driver.Running{ID: r.info.ID, Name: start(clean(r.info.Name, maxError), driver.NameMost), Queue: r.info.Queue}
		one.Since = running[r].Add(r.shared.ahead).UTC().Round(0).Truncate(time.Microsecond)
		encoded, err := json.Marshal(one)
		if size += len(encoded) + len(","); err != nil || size > driver.RunningBytes {
			break
		}
		oldest = append(oldest, one)
	}
	return oldest
}
