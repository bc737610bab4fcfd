package worker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// liveWithin is how long the loop may take for one turn: an exchange that is not answered (15 s) and the wait after it (5 s).
	liveWithin = 30 * time.Second

	// readyWithin is how long ago the database may have answered last: an idle worker asks every second, and one of many
	// every 7.5 s at least.
	readyWithin = 15 * time.Second
)

// Health tells over HTTP how a worker is, to whatever watches over its process. Its zero value is that of a worker that has not
// started. It is safe for concurrent use, and belongs to one Worker: see Config.Health.
//
// Both handlers answer 200 or 503, with one line of JSON: {"ok":true}, or {"ok":false,"reason":"…"}. They do not ask the database.
type Health struct {
	mu       sync.Mutex
	turned   time.Time // the last turn of the loop; zero: Run was not called
	answered time.Time // the last answer of the database to this Run; zero: there was none
	ending   bool
}

// Live is the handler of the question whether the process should be killed and started again: it answers 503 when the worker has not
// come round for 30 s, because it hangs, or because Run has returned. A database that does not answer is no reason, since a new process
// would not reach it either. Before Run is called, it answers 200.
func (h *Health) Live() http.Handler { return probe(h.notLive) }

// Ready is the handler of the question whether the worker does its work: it answers 503 until the database has answered for the first
// time, when it has not for 15 s, and from when the worker begins to stop. A worker that is paused is ready.
func (h *Health) Ready() http.Handler { return probe(h.notReady) }

// probe answers why something is not well.
func probe(reason func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := struct {
			OK     bool   `json:"ok"`
			Reason string `json:"reason,omitempty"`
		}{Reason: reason()}
		answer.OK = answer.Reason == ""
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !answer.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(answer) // nobody listens any more
	})
}

func (h *Health) notLive() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if since := time.Since(h.turned); !h.turned.IsZero() && since > liveWithin {
		return fmt.Sprintf("the worker has not come round for %v", since.Round(time.Second))
	}
	return ""
}

func (h *Health) notReady() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	since := time.Since(h.answered)
	switch {
	case h.ending:
		return "the worker is stopping"
	case h.answered.IsZero():
		return "the database has not answered yet"
	case since > readyWithin:
		return fmt.Sprintf("the database has not answered for %v", since.Round(time.Second))
	}
	return ""
}

// started notes that Run begins.
func (h *Health) started() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turned, h.answered, h.ending = time.Now(), time.Time{}, false
}

// exchanged notes that the loop has come round, at that time: the database has answered, or err says why not.
func (h *Health) exchanged(at time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turned = at
	if err == nil {
		h.answered = at
	}
}

// stopping notes that no more jobs are reserved.
func (h *Health) stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending = true
}
