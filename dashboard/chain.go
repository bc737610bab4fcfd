package dashboard

import (
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// nextJob is a job that is pushed when another ends, as pages show it.
type nextJob struct {
	When        string // what it waits for
	Name, Queue string
	Delay       string
	Then        []nextJob // what comes after it
	Catch       []nextJob
}

// chain has the jobs before and after a job.
type chain struct {
	Parent int64 // the job before; 0: no job
	Batch  int64 // the batch whose callback it is
	Error  string
	Then   []nextJob
	Catch  []nextJob
}

// Alone reports whether the job is in no chain or batch.
func (c chain) Alone() bool { return c.Parent == 0 && c.Batch == 0 && c.Then == nil && c.Catch == nil }

func (v *visit) chainOf(payload []byte) chain {
	parsed, err := sqlqueue.ParsePayload(payload)
	if err != nil {
		return chain{}
	}
	c := chain{Then: v.nextJobs(parsed.Then), Catch: v.nextJobs(parsed.Catch)}
	if p := parsed.Parent; p != nil {
		c.Parent, c.Batch, c.Error = p.ID, p.Batch, brief(300, hideCredentials(p.Error))
	}
	return c
}

// nextJobs are the next jobs; those of a list of steps are nested.
func (v *visit) nextJobs(jobs []sqlqueue.Next) []nextJob {
	var all []nextJob
	for _, job := range jobs {
		if len(job.Steps) > 0 {
			all = append(all, v.steps(job.Steps)...)
			continue
		}
		all = append(all, v.nextJob(job))
	}
	return all
}

func (v *visit) nextJob(job sqlqueue.Next) nextJob {
	next := nextJob{Name: job.Job, Queue: job.Queue, Then: v.nextJobs(job.Then), Catch: v.nextJobs(job.Catch)}
	if job.Delay > 0 {
		next.Delay = exactly(time.Duration(job.Delay))
	}
	return next
}

// steps are jobs that run one after the other.
func (v *visit) steps(steps []sqlqueue.Next) []nextJob {
	if len(steps) == 0 {
		return nil
	}
	first := v.nextJob(steps[0])
	first.Then = append(first.Then, v.steps(steps[1:])...)
	return []nextJob{first}
}
