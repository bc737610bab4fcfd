package sqlqueue

import "github.com/sqlqueue/sqlqueue/sqlqueue/driver"

// Job is a row of the table of jobs.
type Job = driver.Job

// Reservation names one reservation of one job, for ever.
type Reservation = driver.Reservation
