package child

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// jobLine is what a reused process reads of a job.
type jobLine struct {
	ID       int64           `json:"id"`
	Queue    string          `json:"queue"`
	Name     string          `json:"name"`
	Attempts int             `json:"attempts"` // 1 for the first
	Data     json.RawMessage `json:"data"`
	Trace    string          `json:"trace,omitempty"` // W3C's traceparent
}

// encodeJob returns a line, with its end.
func encodeJob(job Job) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(jobLine{job.ID, job.Queue, job.Name, job.Attempts, job.Data, job.Trace})
	return text.Bytes(), err
}

// Outcomes of an answer.
const (
	outcomeDone    = "done"
	outcomeError   = "error"
	outcomeRelease = "release"
	outcomeSnooze  = "snooze"
	outcomeFail    = "fail"
	outcomeDiscard = "discard"
)

const outcomes = "done, error, release, snooze, fail or discard"

// mostDelay is the longest wait that an answer may ask for.
const mostDelay = 100 * 365 * 24 * time.Hour

// answerLine is what a reused process writes when it has run a job.
type answerLine struct {
	ID      *int64   `json:"id"`
	Outcome string   `json:"outcome"`
	Delay   *float64 `json:"delay"` // in seconds, of release and snooze
	Error   string   `json:"error"` // of error and fail
	Last    bool     `json:"last"`  // the process takes no more jobs

	Result json.RawMessage `json:"result"` // of done
}

// parseAnswer reads the answer to a job.
func parseAnswer(line string, id int64) (a answerLine, err error) {
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return a, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("something follows the object")
	}
	waits := a.Outcome == outcomeRelease || a.Outcome == outcomeSnooze
	switch {
	case a.ID == nil:
		return a, errors.New("it has no id")
	case *a.ID != id:
		return a, fmt.Errorf("its id is %d, and the job is %d", *a.ID, id)
	case a.Outcome != outcomeDone && a.Outcome != outcomeError && a.Outcome != outcomeFail && a.Outcome != outcomeDiscard && !waits:
		return a, fmt.Errorf("its outcome is %q: use %s", a.Outcome, outcomes)
	case a.Delay != nil && !waits:
		return a, fmt.Errorf("it has a delay, and the outcome is %s", a.Outcome)
	case a.Delay == nil && a.Outcome == outcomeSnooze:
		return a, errors.New("snooze needs a delay")
	case a.Delay != nil && (*a.Delay < 0 || *a.Delay > mostDelay.Seconds()):
		return a, fmt.Errorf("its delay of %g seconds is out of range", *a.Delay)
	case a.Error != "" && a.Outcome != outcomeError && a.Outcome != outcomeFail:
		return a, fmt.Errorf("it has an error, and the outcome is %s", a.Outcome)
	case a.Result != nil && a.Outcome != outcomeDone:
		return a, fmt.Errorf("it has a result, and the outcome is %s", a.Outcome)
	}
	a.Error = cmp.Or(valid(a.Error), "the command gave no reason")
	return a, nil
}

// result makes of an answer what Run returns.
func (a answerLine) result() error {
	switch a.Outcome {
	case outcomeError:
		return errors.New(a.Error)
	case outcomeFail:
		return &FailError{a.Error}
	case outcomeDiscard:
		return ErrDiscard
	case outcomeRelease, outcomeSnooze:
		if a.Delay == nil {
			return ErrRelease
		}
		return &ReleaseError{Delay: time.Duration(*a.Delay * float64(time.Second)), Snooze: a.Outcome == outcomeSnooze}
	}
	return nil
}
